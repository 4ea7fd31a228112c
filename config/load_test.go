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

func TestParseFile(t *testing.T) {
	s := Default()
	err := s.parseFile("f", `
# my settings
kms = aws:eu-central-1?endpoint=http://127.0.0.1:7600
key=alias/backup	# the backups' key
	key-ttl   =   1m
# key-ttl = 2m
files-per-data-key = 1
kms-passphrase-file = /run/keys/kms
data-key-age = 10s`+"\r\n"+`log-level = warn`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if got := s.From(name); got != FromFile {
			t.Errorf("%s comes from %v", name, got)
		}
	}
	want := Settings{
		KMS:             KMSURI{Scheme: "aws", Region: "eu-central-1", Endpoint: "http://127.0.0.1:7600"},
		Key:             "alias/backup",
		KeyTTL:          time.Minute,
		FilesPerDataKey: 1,
		DataKeyAge:      10 * time.Second,
		LogLevel:        slog.LevelWarn,
		PassphraseFile:  "/run/keys/kms",
		from:            s.from,
	}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestParseFileRefuses(t *testing.T) {
	for _, c := range []struct{ data, err string }{
		{"key = a\nkey-tll = 1m\n", `f:2: unknown setting "key-tll": want one of kms, key, key-ttl`},
		{"key = a\n\n# x\nkey = b\n", "f:4: setting key was given on line 1 already"},
		{"key\n", `f:1: "key" is not of the form name = value`},
		{"[kmsfs]\n", "f:1: "},
		{"key =\n", "f:1: setting key has no value"},
		{"key = # none\n", "f:1: setting key has no value"},
		{"= x\n", `f:1: unknown setting ""`},
		{"KEY = x\n", `f:1: unknown setting "KEY"`},
		{"\n\nkey-ttl = soon\n", "f:3: setting key-ttl: "},
		{"key-ttl = 1ms\n", "f:1: setting key-ttl: 1ms is less than 100ms"},
		{"kms = gcp:x", "f:1: setting kms: "},
		{"kms = local:/a\x00b", "f:1: setting kms: "},
		{"key = \"alias/x\"", "f:1: setting key: "},
	} {
		s := Default()
		checkErr(t, c.data, s.parseFile("f", c.data), c.err)
	}
}

// FuzzFile: what parses, printed line by line, parses to the same settings.
func FuzzFile(f *testing.F) {
	f.Add("kms = local:/srv/kms\nkey = alias/x # c\nkey-ttl = 1h\n")
	f.Add("files-per-data-key=7\r\ndata-key-age=0.5s\nlog-level=debug")
	f.Add("#\n#=\n=\nkms==")
	f.Add("kms = aws:?endpoint=http://h#x")
	f.Add("kms = local:/a/b/../# c")
	f.Fuzz(func(t *testing.T, data string) {
		s := Default()
		if s.parseFile("f", data) != nil {
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("parsed and yet invalid: %v", err)
		}
		var printed strings.Builder
		for i, f := range fields {
			if s.from[i] == FromFile {
				printed.WriteString(f.name + " = " + f.print(&s) + "\n")
			}
		}
		again := Default()
		if err := again.parseFile("printed", printed.String()); err != nil || again != s {
			t.Errorf("%q prints as %q, which gives %+v, %v; want %+v", data, printed.String(), again, err, s)
		}
	})
}

func TestFilePlaces(t *testing.T) {
	for _, c := range []struct{ env, config, kms string }{
		{"", "", ""},
		{"HOME=/h", "/h/.config/kmsfs/config", "/h/.local/share/kmsfs/kms"},
		{"HOME=/h XDG_CONFIG_HOME=/c XDG_DATA_HOME=/d", "/c/kmsfs/config", "/d/kmsfs/kms"},
		{"HOME=/h XDG_CONFIG_HOME=c XDG_DATA_HOME=./d", "/h/.config/kmsfs/config", "/h/.local/share/kmsfs/kms"},
		{"HOME=h", "", ""},
		{"KMSFS_CONFIG=x XDG_CONFIG_HOME=/c HOME=/h", "x", "/h/.local/share/kmsfs/kms"},
	} {
		env := environ(strings.Fields(c.env)...)
		if got := FilePath(env); got != c.config {
			t.Errorf("%s: FilePath = %q, want %q", c.env, got, c.config)
		}
		got, err := DefaultKMSDir(env)
		if got != c.kms || (err == nil) != (c.kms != "") {
			t.Errorf("%s: DefaultKMSDir = %q, %v, want %q", c.env, got, err, c.kms)
		}
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	big := filepath.Join(dir, "big")
	writeFile(t, big, strings.Repeat("#\n", maxFileSize/2+1))
	wrong := filepath.Join(dir, "wrong")
	writeFile(t, wrong, "colour = blue\n")

	for _, c := range []struct{ env, err string }{
		{"", ""},
		{"HOME=" + missing, ""},
		{"KMSFS_CONFIG=" + os.DevNull, ""},
		{"KMSFS_CONFIG=" + missing, "no such file"},
		{"KMSFS_CONFIG=" + dir, "is a directory"},
		{"KMSFS_CONFIG=" + big, "larger than"},
		{"KMSFS_CONFIG=" + wrong, wrong + `:1: unknown setting "colour"`},
		{"KMSFS_KEY_TTL=soon", "environment KMSFS_KEY_TTL: "},
		{"KMSFS_KMS=gcp:", "environment KMSFS_KMS: "},
		{"KMSFS_LOG_LEVEL=", ""},
	} {
		s, err := Load(environ(c.env), nil)
		checkErr(t, c.env, err, c.err)
		want := Settings{}
		if c.err == "" {
			want = Default()
		}
		if s != want {
			t.Errorf("%s: got %+v, want %+v", c.env, s, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want func(*Settings)
		err  string
	}{
		{"--other x", func(*Settings) {}, ""},
		{"--kms aws:eu-west-1", func(s *Settings) { s.KMS = KMSURI{Scheme: "aws", Region: "eu-west-1"} }, ""},
		{"--key=", func(s *Settings) { s.Key = "" }, ""}, // takes back what the environment says
		{"--files-per-data-key=5 --log-level error", func(s *Settings) { s.FilesPerDataKey, s.LogLevel = 5, slog.LevelError }, ""},
		{"--key-ttl=1m --key-ttl=2m", func(s *Settings) { s.KeyTTL = 2 * time.Minute }, ""},
		{"--key-ttl soon", nil, "not a duration"},
		{"--files-per-data-key 0", nil, "between 1 and"},
		{"--colour blue", nil, "unknown flag"},
	} {
		got, err := load(t, environ("KMSFS_KEY=alias/env"), strings.Fields(c.args)...)
		checkErr(t, c.args, err, c.err)
		if err != nil || c.want == nil {
			continue
		}
		want := Default()
		want.Key = "alias/env"
		c.want(&want)
		want.from = got.from
		if got != want {
			t.Errorf("%s: got %+v, want %+v", c.args, got, want)
		}
	}
}

func TestAddFlags(t *testing.T) {
	flags := pflag.NewFlagSet("kmsfs", pflag.ContinueOnError)
	s := Default()
	s.AddFlags(flags, "kms", "key-ttl")
	usage := flags.FlagUsages()
	for _, want := range []string{"--kms URI", "--key-ttl D", "(default local:)", "(default 15m)"} {
		if !strings.Contains(usage, want) {
			t.Errorf("help lacks %q:\n%s", want, usage)
		}
	}
	if flags.Lookup("key") != nil {
		t.Error("--key was added though not named")
	}
	// A flag of the same name that is not ours is left alone.
	other := pflag.NewFlagSet("kmsfs", pflag.ContinueOnError)
	other.String("key", "", "")
	if err := other.Parse([]string{"--key", "a b"}); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(environ(), other); err != nil || got != Default() {
		t.Errorf("got %+v, %v", got, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("AddFlags took an unknown setting")
		}
	}()
	s.AddFlags(flags, "colour")
}

func TestEnvName(t *testing.T) {
	if got := EnvName("files-per-data-key"); got != "KMSFS_FILES_PER_DATA_KEY" {
		t.Error(got)
	}
}
