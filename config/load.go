package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// maxFileSize is the largest settings file read; one names a handful of settings.
const maxFileSize = 64 << 10

// EnvName is the environment variable of a setting: KMSFS_KEY_TTL for "key-ttl".
func EnvName(name string) string {
	return "KMSFS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// AddFlags adds a flag for each named setting, or for all of them if none is
// named, with the values of s as the defaults that help shows. Parsing the
// command line stores the values in s and marks the flags as changed, which is
// what Load goes by. It panics if there is no such setting.
func (s *Settings) AddFlags(fs *pflag.FlagSet, names ...string) {
	if len(names) == 0 {
		names = Names()
	}
	for _, name := range names {
		i := mustIndex(name)
		fs.Var(&flagValue{s, i}, name, fields[i].usage)
	}
}

// flagValue is setting i of s, as a pflag.Value.
type flagValue struct {
	s *Settings
	i int
}

var _ pflag.Value = (*flagValue)(nil)

func (v *flagValue) String() string {
	if v.s == nil { // pflag asks a zero value
		return ""
	}
	return fields[v.i].print(v.s)
}

func (v *flagValue) Set(value string) error { return v.s.set(v.i, value, FromFlag) }

func (v *flagValue) Type() string {
	return fields[v.i].kind
}

// Load returns the settings in force: Default, overridden by the settings file
// (see FilePath), by the environment, and by those flags of fs that AddFlags made
// and the user gave. env is os.Getenv or a stand-in for it; an empty variable
// counts as unset. fs may be nil. The file named by KMSFS_CONFIG must exist; the
// default one need not.
func Load(env func(string) string, fs *pflag.FlagSet) (Settings, error) {
	s := Default()
	if err := s.loadFile(env); err != nil {
		return Settings{}, err
	}
	for i, f := range fields {
		value := env(EnvName(f.name))
		if value == "" {
			continue
		}
		if err := s.set(i, value, FromEnvironment); err != nil {
			return Settings{}, fmt.Errorf("environment %s: %w", EnvName(f.name), err)
		}
	}
	var err error
	if fs != nil {
		fs.Visit(func(f *pflag.Flag) {
			v, ours := f.Value.(*flagValue)
			if !ours || err != nil {
				return
			}
			if e := s.set(v.i, v.String(), FromFlag); e != nil {
				err = fmt.Errorf("flag --%s: %w", f.Name, e)
			}
		})
	}
	if err != nil {
		return Settings{}, err
	}
	return s, s.Validate()
}

// FilePath returns the settings file: KMSFS_CONFIG, or kmsfs/config in
// $XDG_CONFIG_HOME or ~/.config. It is empty where neither is known.
func FilePath(env func(string) string) string {
	if path := env("KMSFS_CONFIG"); path != "" {
		return path
	}
	return xdgPath(env, "XDG_CONFIG_HOME", ".config", "config")
}

// DefaultKMSDir returns the directory of the embedded KMS when the URI names
// none: kmsfs/kms in $XDG_DATA_HOME or ~/.local/share.
func DefaultKMSDir(env func(string) string) (string, error) {
	dir := xdgPath(env, "XDG_DATA_HOME", ".local/share", "kms")
	if dir == "" {
		return "", errors.New("no directory for the embedded KMS: neither XDG_DATA_HOME nor HOME is an absolute path")
	}
	return dir, nil
}

// xdgPath joins kmsfs/leaf to the directory named by variable, or to fallback
// below HOME. As the XDG base directory specification asks, relative paths count
// as unset.
func xdgPath(env func(string) string, variable, fallback, leaf string) string {
	if base := env(variable); filepath.IsAbs(base) {
		return filepath.Join(base, "kmsfs", leaf)
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, fallback, "kmsfs", leaf)
	}
	return ""
}

func (s *Settings) loadFile(env func(string) string) error {
	path := FilePath(env)
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && env("KMSFS_CONFIG") == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	if len(data) > maxFileSize {
		return fmt.Errorf("settings file %s is larger than %d bytes", path, maxFileSize)
	}
	return s.parseFile(path, string(data))
}

// parseFile applies lines of the form "name = value". Blank lines count for
// nothing, nor does what follows a # at the start of a line or after a space.
// Errors begin with path:line.
func (s *Settings) parseFile(path, data string) error {
	var seen [numFields]int
	n := 0
	for line := range strings.SplitSeq(data, "\n") {
		n++
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %w", path, n, fmt.Errorf(format, args...))
		}
		line = strings.TrimSpace(cutComment(line))
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			return bad("%q is not of the form name = value", line)
		}
		i, ok := index(name)
		switch {
		case !ok:
			return bad("unknown setting %q: want one of %s", name, strings.Join(Names(), ", "))
		case seen[i] != 0:
			return bad("setting %s was given on line %d already", name, seen[i])
		case value == "":
			return bad("setting %s has no value", name)
		}
		seen[i] = n
		if err := s.set(i, value, FromFile); err != nil {
			return bad("setting %s: %w", name, err)
		}
	}
	return nil
}

// cutComment drops a # that starts the line or follows a blank, and the rest.
func cutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}
