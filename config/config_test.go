package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// environ is an environment for Load: os.Getenv over a map.
func environ(vars ...string) func(string) string {
	m := map[string]string{}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		m[name] = value
	}
	return func(name string) string { return m[name] }
}

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (Settings{}).Validate(); err == nil {
		t.Error("zero Settings are said to be valid")
	}
}

func TestPrecedence(t *testing.T) {
	// Each case sets key-ttl at some of the levels; the last one set must win.
	for _, c := range []struct {
		file, env, flag string
		want            time.Duration
		from            Source
	}{
		{"", "", "", 15 * time.Minute, FromDefault},
		{"1m", "", "", time.Minute, FromFile},
		{"", "2m", "", 2 * time.Minute, FromEnvironment},
		{"", "", "3m", 3 * time.Minute, FromFlag},
		{"1m", "2m", "", 2 * time.Minute, FromEnvironment},
		{"1m", "", "3m", 3 * time.Minute, FromFlag},
		{"", "2m", "3m", 3 * time.Minute, FromFlag},
		{"1m", "2m", "3m", 3 * time.Minute, FromFlag},
		{"1m", "2m", "15m", 15 * time.Minute, FromFlag}, // the default's value, and yet given
	} {
		dir := t.TempDir()
		file := ""
		if c.file != "" {
			file = "key-ttl = " + c.file + "\n"
		}
		writeFile(t, filepath.Join(dir, "kmsfs", "config"), file)
		var args []string
		if c.flag != "" {
			args = []string{"--key-ttl", c.flag}
		}
		got, err := load(t, environ("XDG_CONFIG_HOME="+dir, "KMSFS_KEY_TTL="+c.env), args...)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got.KeyTTL != c.want || got.From("key-ttl") != c.from {
			t.Errorf("%+v: got %v from %v", c, got.KeyTTL, got.From("key-ttl"))
		}
		if got.From("kms") != FromDefault {
			t.Errorf("%+v: kms comes from %v", c, got.From("kms"))
		}
	}
}

// load parses args with all flags and loads the settings.
func load(t *testing.T, env func(string) string, args ...string) (Settings, error) {
	t.Helper()
	flags := pflag.NewFlagSet("kmsfs", pflag.ContinueOnError)
	s := Default()
	s.AddFlags(flags)
	flags.String("other", "", "a flag that is not a setting")
	if err := flags.Parse(args); err != nil {
		return Settings{}, err
	}
	return Load(env, flags)
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ name, value, err string }{ // err "" = accepted
		{"kms", "local:", ""},
		{"kms", "gcp:", "unknown scheme"},
		{"key", "", ""},
		{"key", "alias/kmsfs", ""},
		{"key", "alias/team/a_b-1", ""},
		{"key", "1234abcd-12ab-34cd-56ef-1234567890ab", ""},
		{"key", "mrk-1234abcd12ab34cd56ef1234567890ab", ""},
		{"key", "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", ""},
		{"key", "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/kmsfs", ""},
		{"key", "alias/", "not an alias"},
		{"key", "alias/a b", "not an alias"},
		{"key", "alias/" + strings.Repeat("a", 251), "not an alias"},
		{"key", "arn:aws:s3:::bucket", "not the ARN"},
		{"key", "arn:aws:kms:eu-central-1:111122223333:grant/x", "not the ARN"},
		{"key", "my key", "not a key id"},
		{"key", "schlüssel", "not a key id"},
		{"key", strings.Repeat("a", 2049), "longer than 2048"},
		{"key-ttl", "100ms", ""},
		{"key-ttl", "1h30m", ""},
		{"key-ttl", "99ms", "less than 100ms"},
		{"key-ttl", "0", "less than 100ms"},
		{"key-ttl", "-5m", "less than 100ms"},
		{"key-ttl", "5", "not a duration"},
		{"key-ttl", "5 min", "not a duration"},
		{"files-per-data-key", "1", ""},
		{"files-per-data-key", "1000000", ""},
		{"files-per-data-key", "0", "between 1 and 1000000"},
		{"files-per-data-key", "1000001", "between 1 and 1000000"},
		{"files-per-data-key", "1e3", "not a whole number"},
		{"files-per-data-key", "99999999999999999999", "not a whole number"},
		{"data-key-age", "300s", ""},
		{"data-key-age", "0s", "less than 100ms"},
		{"log-level", "debug", ""},
		{"log-level", "error", ""},
		{"log-level", "INFO", "not debug"},
		{"log-level", "info+1", "not debug"},
	} {
		s := Default()
		before := s
		err := s.set(mustIndex(c.name), c.value, FromFile)
		checkErr(t, c.name+"="+c.value, err, c.err)
		if err != nil && s != before {
			t.Errorf("%s=%s: refused and yet changed", c.name, c.value)
		}
	}
}

// checkErr wants an error that contains want, or none if want is empty.
func checkErr(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && err == nil:
		t.Errorf("%s: accepted, want error with %q", what, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s: error %q, want it to contain %q", what, err, want)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Settings)
		err    string
	}{
		{func(s *Settings) { s.KMS = KMSURI{} }, "setting kms"},
		{func(s *Settings) { s.Key = "a b" }, "setting key:"},
		{func(s *Settings) { s.KeyTTL = 0 }, "setting key-ttl"},
		{func(s *Settings) { s.FilesPerDataKey = 0 }, "setting files-per-data-key"},
		{func(s *Settings) { s.DataKeyAge = -1 }, "setting data-key-age"},
		{func(s *Settings) { s.LogLevel = slog.Level(1) }, "setting log-level"},
	} {
		s := Default()
		c.change(&s)
		checkErr(t, c.err, s.Validate(), c.err)
	}
}

func TestDurationsPrintShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		15 * time.Minute:          "15m",
		time.Hour:                 "1h",
		90 * time.Second:          "1m30s",
		time.Hour + time.Second:   "1h0m1s",
		10 * time.Minute:          "10m",
		100 * time.Millisecond:    "100ms",
		0:                         "0s",
		20 * time.Hour:            "20h",
		10*time.Hour + 3*60*1e9:   "10h3m",
		10 * time.Second:          "10s",
		time.Hour + 10*60*1e9:     "1h10m",
		1000*time.Hour + 1*60e9:   "1000h1m",
		20*time.Second + 1*60*1e9: "1m20s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}
