// Package config gathers the settings of kmsfs: the defaults, then the settings
// file, then the environment, then the flags of the command line, each overriding
// the one before, and every value checked where it was written, so that an error
// names its file and line, variable or flag.
//
// A setting has one name everywhere: "key-ttl" in the file, --key-ttl as a flag,
// KMSFS_KEY_TTL in the environment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Limits of the settings that have them.
const (
	MinKeyTTL          = 100 * time.Millisecond
	MinDataKeyAge      = 100 * time.Millisecond
	MaxFilesPerDataKey = 1_000_000
	maxKeyLen          = 2048 // AWS: KeyId, https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
	maxAliasLen        = 256  // AWS: AliasName, https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html
)

// Settings are what a user may choose. They are a value: copy them freely, and
// compare them with ==. The zero Settings are not valid; start from Default.
type Settings struct {
	// KMS is the key management service that wraps new keys.
	KMS KMSURI
	// Key names the CMK as the user wrote it: a key id, an ARN or "alias/NAME".
	// Empty when nothing was given.
	Key string
	// KeyTTL is how long an unwrapped data key may be used before KMS is asked
	// again; it bounds how long access outlives a disabled CMK.
	KeyTTL time.Duration
	// FilesPerDataKey and DataKeyAge bound how many new files share one data key,
	// and for how long; whichever comes first ends it.
	FilesPerDataKey int
	DataKeyAge      time.Duration
	// LogLevel is the least severe level that is logged.
	LogLevel slog.Level
	// PassphraseFile is read for the passphrase of the embedded KMS: a file, or
	// /dev/fd/N. Empty: it is asked for on the terminal.
	PassphraseFile string

	from [numFields]Source
}

// Source says where the value of a setting came from. Later sources are greater
// and override earlier ones.
type Source uint8

// The sources, in order of precedence.
const (
	FromDefault Source = iota
	FromFile
	FromEnvironment
	FromFlag
)

// String names the source for a message.
func (f Source) String() string {
	switch f {
	case FromDefault:
		return "default"
	case FromFile:
		return "settings file"
	case FromEnvironment:
		return "environment"
	case FromFlag:
		return "flag"
	}
	return "source " + strconv.Itoa(int(f))
}

// Default returns the settings that hold where nothing else was said.
func Default() Settings {
	return Settings{
		KMS:             KMSURI{Scheme: SchemeLocal},
		KeyTTL:          15 * time.Minute,
		FilesPerDataKey: 1000,
		DataKeyAge:      300 * time.Second,
		LogLevel:        slog.LevelInfo,
	}
}

// From tells where the value of the named setting came from; a caller that has a
// value of its own (a cipher directory records its KMS) learns from it whether
// the user meant to override that. It panics if there is no such setting.
func (s Settings) From(name string) Source { return s.from[mustIndex(name)] }

// Validate reports the first setting whose value is not allowed. Settings
// returned by Load are valid.
func (s Settings) Validate() error {
	for _, f := range fields {
		if err := f.check(&s); err != nil {
			return fmt.Errorf("setting %s: %w", f.name, err)
		}
	}
	return nil
}

// Names returns the names of all settings, in the order of the documentation.
func Names() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// field is one setting: its name, how --help shows it, and its conversions.
type field struct {
	name  string
	kind  string // the placeholder in --help
	usage string
	parse func(*Settings, string) error // syntax
	check func(*Settings) error         // limits
	print func(*Settings) string        // what parse reads back
}

const numFields = 7

var fields = [numFields]field{
	{
		name: "kms", kind: "URI",
		usage: "key management service: local:[DIR], the embedded one, or aws:[REGION]",
		parse: func(s *Settings, v string) (err error) { s.KMS, err = ParseKMSURI(v); return },
		check: func(s *Settings) error { return s.KMS.check() },
		print: func(s *Settings) string { return s.KMS.String() },
	}, {
		name: "key", kind: "KEY",
		usage: "CMK: a key id, an ARN or alias/NAME",
		parse: func(s *Settings, v string) error { s.Key = v; return nil },
		check: func(s *Settings) error { return checkKey(s.Key) },
		print: func(s *Settings) string { return s.Key },
	}, {
		name: "key-ttl", kind: "D",
		usage: "ask the KMS again for a data key after this long",
		parse: func(s *Settings, v string) (err error) { s.KeyTTL, err = parseDuration(v); return },
		check: func(s *Settings) error { return atLeast(s.KeyTTL, MinKeyTTL) },
		print: func(s *Settings) string { return formatDuration(s.KeyTTL) },
	}, {
		name: "files-per-data-key", kind: "N",
		usage: "new files that may share one data key",
		parse: func(s *Settings, v string) (err error) { s.FilesPerDataKey, err = parseInt(v); return },
		check: func(s *Settings) error {
			if s.FilesPerDataKey < 1 || s.FilesPerDataKey > MaxFilesPerDataKey {
				return fmt.Errorf("%d is not between 1 and %d", s.FilesPerDataKey, MaxFilesPerDataKey)
			}
			return nil
		},
		print: func(s *Settings) string { return strconv.Itoa(s.FilesPerDataKey) },
	}, {
		name: "data-key-age", kind: "D",
		usage: "give new files a new data key after this long",
		parse: func(s *Settings, v string) (err error) { s.DataKeyAge, err = parseDuration(v); return },
		check: func(s *Settings) error { return atLeast(s.DataKeyAge, MinDataKeyAge) },
		print: func(s *Settings) string { return formatDuration(s.DataKeyAge) },
	}, {
		name: "log-level", kind: "LEVEL",
		usage: "least severe message logged: debug, info, warn or error",
		parse: func(s *Settings, v string) (err error) { s.LogLevel, err = parseLevel(v); return },
		check: func(s *Settings) error { _, err := levelName(s.LogLevel); return err },
		print: func(s *Settings) string { n, _ := levelName(s.LogLevel); return n },
	}, {
		name: "kms-passphrase-file", kind: "FILE",
		usage: "read the passphrase of the embedded KMS from here (/dev/fd/N: a descriptor)",
		parse: func(s *Settings, v string) error { s.PassphraseFile = v; return nil },
		check: func(s *Settings) error {
			if strings.ContainsFunc(s.PassphraseFile, unicode.IsControl) {
				return errors.New("control character in a file name")
			}
			return nil
		},
		print: func(s *Settings) string { return s.PassphraseFile },
	},
}

// index finds a setting by name; ok is false if there is none.
func index(name string) (i int, ok bool) {
	for i, f := range fields {
		if f.name == name {
			return i, true
		}
	}
	return 0, false
}

func mustIndex(name string) int {
	i, ok := index(name)
	if !ok {
		panic("config: no setting named " + strconv.Quote(name))
	}
	return i
}

// set parses and checks the value of setting i; on error s is unchanged.
func (s *Settings) set(i int, value string, from Source) error {
	next := *s
	if err := fields[i].parse(&next, value); err != nil {
		return err
	}
	if err := fields[i].check(&next); err != nil {
		return err
	}
	next.from[i] = from
	*s = next
	return nil
}

// checkKey refuses what can be neither a key id, an ARN nor an alias. Whether
// there is such a key only the KMS knows.
func checkKey(key string) error {
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alias, isAlias := strings.CutPrefix(key, "alias/")
	switch {
	case key == "":
		return nil
	case len(key) > maxKeyLen:
		return fmt.Errorf("key name of %d bytes is longer than %d", len(key), maxKeyLen)
	case isAlias:
		if alias == "" || len(key) > maxAliasLen || !only(alias, alnum+"/_-") {
			return fmt.Errorf("%q is not an alias: alias/ and up to %d letters, digits, / _ -", key, maxAliasLen-len("alias/"))
		}
	case strings.HasPrefix(key, "arn:"):
		// arn:partition:kms:region:account:key/ID or alias/NAME
		part := strings.SplitN(key, ":", 6)
		if len(part) != 6 || part[2] != "kms" || !only(key, alnum+":/_-") ||
			!strings.HasPrefix(part[5], "key/") && !strings.HasPrefix(part[5], "alias/") {
			return fmt.Errorf("%q is not the ARN of a KMS key or alias", key)
		}
	case !only(key, alnum+"-"):
		return fmt.Errorf("%q is not a key id, an ARN or alias/NAME", key)
	}
	return nil
}

// only reports whether s is made of the given ASCII characters alone.
func only(s, chars string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(chars, r) }) < 0
}

func atLeast(d, least time.Duration) error {
	if d < least {
		return fmt.Errorf("%v is less than %v", d, least)
	}
	return nil
}

func parseInt(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", v)
	}
	return n, nil
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 90s, 15m or 1h30m", v)
	}
	return d, nil
}

// formatDuration is Duration.String without the zero units: 15m, not 15m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var levels = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func parseLevel(v string) (slog.Level, error) {
	for _, l := range levels {
		if v == strings.ToLower(l.String()) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("%q is not debug, info, warn or error", v)
}

func levelName(l slog.Level) (string, error) {
	for _, known := range levels {
		if l == known {
			return strings.ToLower(l.String()), nil
		}
	}
	return "", errors.New("level is not debug, info, warn or error")
}
