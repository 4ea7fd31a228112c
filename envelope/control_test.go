package envelope

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func testConfig() *Config {
	c := &Config{Format: 1, FSID: testFSID, HeaderSize: 512, KMS: "aws:eu-central-1?endpoint=https://kms.example/", Features: []string{}, Created: 1_700_000_000,
		Recipients: []ConfigRecipient{{Provider: ProviderAWS, KeyID: "arn:aws:kms:eu-central-1:111122223333:key/1234", Material: seq[[32]byte](3), Blob: []byte("wrapped names key")}}}
	c.Sign(testNames())
	return c
}

func TestConfigRoundTrip(t *testing.T) {
	k := testNames()
	text := rapid.StringMatching(`[ -~äß漢<>&"\\]{1,60}`)
	rapid.Check(t, func(t *rapid.T) {
		c := testConfig()
		c.HeaderSize = rapid.SampledFrom([]int{512, 1024, 2048}).Draw(t, "H")
		c.KMS, c.Created = text.Draw(t, "kms"), rapid.Int64Range(0, 1<<62).Draw(t, "created")
		for range rapid.IntRange(0, MaxConfigRecipients-1).Draw(t, "more recipients") {
			c.Recipients = append(c.Recipients, ConfigRecipient{Provider: rapid.ByteRange(1, 255).Draw(t, "provider"),
				KeyID: text.Draw(t, "key id"), Blob: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "blob")})
		}
		c.Sign(k)
		b := c.Marshal()
		got, err := ParseConfig(b)
		if err != nil || !reflect.DeepEqual(got, c) || got.Verify(k) != nil {
			t.Fatalf("%s\n%v", b, err)
		}
		got.Recipients = got.Recipients[:1] // as the walker may, without a key
		if err := got.Verify(k); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConfigMACCovers(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"fsid":     func(c *Config) { c.FSID[0] ^= 1 },
		"H":        func(c *Config) { c.HeaderSize = 1024 },
		"kms":      func(c *Config) { c.KMS += "x" },
		"created":  func(c *Config) { c.Created++ },
		"features": func(c *Config) { c.Features = []string{""} },
		"format":   func(c *Config) { c.Format = 2 },
		"mac":      func(c *Config) { c.MAC[31] ^= 1 },
		"boundary": func(c *Config) { c.KMS, c.Features = c.KMS[:4], []string{c.KMS[4:]} },
	} {
		c := testConfig()
		change(c)
		if err := c.Verify(testNames()); !errors.Is(err, ErrConfig) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
}

// badConfigs are texts that ParseConfig refuses.
func badConfigs() map[string]struct {
	text string
	want error
} {
	good := string(testConfig().Marshal())
	type bad = struct {
		text string
		want error
	}
	edit := func(old, new string) bad {
		if !strings.Contains(good, old) {
			panic("no " + old + " in " + good)
		}
		return bad{strings.Replace(good, old, new, 1), ErrConfig}
	}
	of := func(change func(*Config)) bad {
		c := testConfig()
		change(c)
		return bad{string(c.Marshal()), ErrConfig}
	}
	version := func(b bad) bad { b.want = ErrVersion; return b }
	return map[string]bad{
		"empty":              {"", ErrConfig},
		"zeros":              {string(make([]byte, 512)), ErrConfig}, // what a crash may leave
		"cut":                {good[:len(good)/2], ErrConfig},
		"no-newline":         {good[:len(good)-1], ErrConfig},
		"two-newlines":       {good + "\n", ErrConfig},
		"two-objects":        {good + good, ErrConfig},
		"array":              {"[]\n", ErrConfig},
		"null":               {"null\n", ErrConfig},
		"empty-object":       {"{}\n", ErrConfig},
		"format-true":        edit(`"format": 1`, `"format": true`),
		"header-size-float":  edit(`"header_size": 512`, `"header_size": 512.0`),
		"provider-float":     edit(`"provider": 2`, `"provider": 2.0`),
		"too-large":          {good + strings.Repeat(" ", MaxConfigSize), ErrConfig},
		"format-0":           version(edit(`"format": 1`, `"format": 0`)),
		"format-2":           version(edit(`"format": 1`, `"format": 2`)),
		"format-text":        edit(`"format": 1`, `"format": "1"`),
		"feature":            version(edit(`"features": []`, `"features": ["padding"]`)),
		"features-null":      edit(`"features": []`, `"features": null`),
		"unknown-field":      edit(`"created"`, `"note": "", "created"`),
		"field-twice":        edit(`"format": 1`, `"format": 1, "format": 1`),
		"field-in-capitals":  edit(`"kms"`, `"KMS"`),
		"field-missing":      edit("  \"created\": 1700000000,\n", ""),
		"tabs":               edit("  \"format\"", "\t\"format\""),
		"escaped-text":       edit(`"aws:eu`, `"\u0061ws:eu`),
		"created-float":      edit(`1700000000`, `1.7e9`),
		"created-negative":   of(func(c *Config) { c.Created = -1 }),
		"fsid-short":         edit(`1011121314`, `10111213`),
		"fsid-upper":         edit(`1a1b1c`, `1A1B1C`),
		"fsid-not-hex":       edit(`1a1b1c`, `1a1bxx`),
		"header-size-4096":   of(func(c *Config) { c.HeaderSize = 4096 }),
		"header-size-0":      of(func(c *Config) { c.HeaderSize = 0 }),
		"kms-empty":          of(func(c *Config) { c.KMS = "" }),
		"kms-control":        of(func(c *Config) { c.KMS = "aws:\n" }),
		"kms-too-long":       of(func(c *Config) { c.KMS = strings.Repeat("x", 2049) }),
		"recipients-0":       of(func(c *Config) { c.Recipients = nil }),
		"recipients-17":      of(func(c *Config) { c.Recipients = make17(c.Recipients[0]) }),
		"recipient-provider": of(func(c *Config) { c.Recipients[0].Provider = 0 }),
		"provider-256":       edit(`"provider": 2`, `"provider": 256`),
		"recipient-key-id":   of(func(c *Config) { c.Recipients[0].KeyID = "" }),
		"recipient-no-blob":  of(func(c *Config) { c.Recipients[0].Blob = []byte{} }),
		"recipient-blob":     of(func(c *Config) { c.Recipients[0].Blob = make([]byte, MaxBlob+1) }),
		"material-short":     edit(`"material": "03`, `"material": "`),
		"blob-urlsafe":       edit(`"blob": "d3Jh`, `"blob": "d_Jh`),
	}
}

func make17(r ConfigRecipient) (out []ConfigRecipient) {
	for range 17 {
		out = append(out, r)
	}
	return out
}

func TestParseConfigRefuses(t *testing.T) {
	for name, c := range badConfigs() {
		if _, err := ParseConfig([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestState(t *testing.T) {
	k := testNames()
	rapid.Check(t, func(t *rapid.T) {
		s := State{rapid.Bool().Draw(t, "clean"), seq[[16]byte](rapid.Byte().Draw(t, "id")), rapid.Uint64().Draw(t, "counter")}
		if got, err := ParseState(s.Marshal(k), k); err != nil || got != s {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
	for name, text := range badStates(k) {
		if _, err := ParseState([]byte(text), k); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func badStates(k *NameKeys) map[string]string {
	s := State{Clean: false, MountID: seq[[16]byte](1), Counter: 7}
	good := string(s.Marshal(k))
	forge := func(line string) string { // authentic, but not what Marshal prints
		mac := k.StateMAC([]byte(line))
		return line + hex.EncodeToString(mac[:]) + "\n"
	}
	id := "0102030405060708090a0b0c0d0e0f10"
	return map[string]string{
		"empty":         "",
		"zeros":         string(make([]byte, 64)),
		"word-flipped":  strings.Replace(good, "unclean", "clean", 1),
		"counter":       strings.Replace(good, " 7 ", " 8 ", 1),
		"mount-id":      strings.Replace(good, "0102", "0103", 1),
		"no-newline":    good[:len(good)-1],
		"two-lines":     good + good,
		"cut":           good[:len(good)-2] + "\n",
		"upper-case":    strings.ToUpper(good),
		"other-fs":      string(s.Marshal(DeriveNameKeys(&testNK, FSID{}))),
		"version-2":     forge("kmsfs-state 2 clean " + id + " 7 "),
		"word":          forge("kmsfs-state 1 dirty " + id + " 7 "),
		"counter-zeros": forge("kmsfs-state 1 clean " + id + " 007 "),
		"counter-sign":  forge("kmsfs-state 1 clean " + id + " +7 "),
		"counter-big":   forge("kmsfs-state 1 clean " + id + " 18446744073709551616 "),
		"id-short":      forge("kmsfs-state 1 clean " + id[2:] + " 7 "),
		"two-spaces":    forge("kmsfs-state 1 clean  " + id + " 7 "),
	}
}

func TestMACsAreSeparate(t *testing.T) {
	k, b := testNames(), []byte("same bytes")
	if k.ConfigMAC(b) == k.StateMAC(b) || k.CheckConfigMAC(b, k.ConfigMAC(b)) != nil || k.CheckStateMAC(b, k.StateMAC(b)) != nil {
		t.Error("MACs")
	}
	if err := k.CheckStateMAC(b, k.ConfigMAC(b)); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	if err := k.CheckConfigMAC(b, k.StateMAC(b)); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

func TestContexts(t *testing.T) {
	if got := NamesContext(testFSID); !maps.Equal(got, map[string]string{
		"kmsfs:format": "1", "kmsfs:fs": "101112131415161718191a1b1c1d1e1f", "kmsfs:use": "names"}) {
		t.Error(got)
	}
	if got := DataContext(testFSID, testDKID); !maps.Equal(got, map[string]string{
		"kmsfs:format": "1", "kmsfs:fs": "101112131415161718191a1b1c1d1e1f", "kmsfs:use": "data",
		"kmsfs:dk": "707172737475767778797a7b7c7d7e7f"}) {
		t.Error(got)
	}
}

func TestWipe(t *testing.T) {
	k := testFileKeys()
	k.Wipe()
	if !bytes.Equal(k.prk[:], make([]byte, 32)) {
		t.Error("the key is still there")
	}
}
