package envelope

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNameRoundTrip(t *testing.T) {
	k := testNames()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.ByteRange(1, 255), 1, MaxName).Draw(t, "name")
		name := string(bytes.ReplaceAll(b, []byte("/"), []byte("|")))
		if name == "." || name == ".." {
			return
		}
		enc, err := k.EncryptName(testIV, name)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := k.EncryptName(testIV, name); again != enc {
			t.Fatal("not deterministic")
		}
		if got, err := k.DecryptName(testIV, enc); err != nil || got != name {
			t.Fatalf("got %q, %v", got, err)
		}
		if _, err := k.DecryptName(DirIV{}, enc); !errors.Is(err, ErrName) {
			t.Fatalf("under another IV: %v", err)
		}
		if IsLong(enc) != (len(name) > 160) || len(enc) > maxText {
			t.Fatalf("name of %d bytes: text of %d", len(name), len(enc))
		}
	})
}

// refSeal is rule N2 written down again, for any X, also such as seal never makes.
func refSeal(c *sivCipher, iv, x []byte) string {
	h := c.mac.Get().(*keyedHash)
	defer c.mac.Put(h)
	h.Reset()
	h.Write([]byte{c.kind, 0, byte(len(iv))})
	h.Write(iv)
	h.Write(x)
	siv := h.Sum(nil)[:sivSize]
	out := append(bytes.Clone(siv), x...)
	cipher.NewCTR(c.ctr, siv).XORKeyStream(out[sivSize:], out[sivSize:])
	return b64.EncodeToString(out)
}

func pad(name string, to int) []byte { return append([]byte(name), make([]byte, to-len(name))...) }

func TestSealIsRuleN2(t *testing.T) {
	k := testNames()
	for n := 1; n <= MaxName; n++ {
		name := strings.Repeat("x", n)
		enc, err := k.EncryptName(testIV, name)
		if want := refSeal(&k.name, testIV[:], pad(name, padded(n))); err != nil || enc != want {
			t.Fatalf("%d bytes: %q, %v, want %q", n, enc, err, want)
		}
	}
}

func TestEncryptNameRefuses(t *testing.T) {
	k := testNames()
	for name, want := range map[string]error{
		"": ErrName, ".": ErrName, "..": ErrName, "a/b": ErrName, "/": ErrName, "a\x00": ErrName, "\x00": ErrName,
		strings.Repeat("x", 256): ErrNameTooLong, strings.Repeat("/", 300): ErrNameTooLong,
		"...": nil, "+dir": nil, "\xff\xfe": nil, " ": nil, strings.Repeat("x", 255): nil,
	} {
		if _, err := k.EncryptName(testIV, name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}

// badNames are authentic but not names, or not the one text of a name.
func badNames(c *sivCipher, iv []byte) map[string]string {
	good := refSeal(c, iv, pad("name", 16))
	return map[string]string{
		"empty":          "",
		"siv-alone":      good[:22],
		"cut-by-a-byte":  good[:42],
		"cut-by-a-char":  good[:41],
		"one-more-char":  good + "A",
		"two-more-chars": good + "AA",
		"padded-base64":  good + "=",
		"newline-inside": good[:20] + "\n" + good[20:],
		"newline-at-end": good + "\n",
		"cr-at-end":      good + "\r",
		"std-alphabet":   "+/" + good[2:],
		"stray-bits":     good[:42] + string(good[42]+1), // 32 bytes leave two bits, which are zero
		"all-nul":        refSeal(c, iv, make([]byte, 16)),
		"more-padding":   refSeal(c, iv, pad("name", 32)),
		"full-and-block": refSeal(c, iv, pad("sixteen bytes ok", 32)),
		"not-blocks":     refSeal(c, iv, []byte("seventeen bytes !")),
		"nothing":        refSeal(c, iv, nil),
		"nul-inside":     refSeal(c, iv, pad("na\x00me", 16)),
		"nul-first":      refSeal(c, iv, pad("\x00name", 16)),
		"256-bytes":      refSeal(c, iv, bytes.Repeat([]byte("x"), 256)),
		"257-bytes":      refSeal(c, iv, pad(strings.Repeat("x", 257), 272)),
	}
}

func TestDecryptNameRefuses(t *testing.T) {
	k := testNames()
	bad := badNames(&k.name, testIV[:])
	for name, plain := range map[string]string{"dot": ".", "dot-dot": "..", "slash": "a/b", "root": "/"} {
		bad[name] = refSeal(&k.name, testIV[:], pad(plain, 16))
	}
	bad["xattr"] = refSeal(&k.xname, nil, pad("name", 16))
	for name, enc := range bad {
		if got, err := k.DecryptName(testIV, enc); !errors.Is(err, ErrName) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Every flip of one bit of a stored name is refused.
func TestNameBitFlips(t *testing.T) {
	k := testNames()
	enc, err := k.EncryptName(testIV, "a name of more than sixteen bytes")
	if err != nil {
		t.Fatal(err)
	}
	xname, err := k.EncryptXattrName("mime_type")
	if err != nil {
		t.Fatal(err)
	}
	flipAll(t, enc, func(s string) error { _, err := k.DecryptName(testIV, s); return err }, ErrName)
	flipAll(t, xname, func(s string) error { _, err := k.DecryptXattrName(s); return err }, ErrName)
	flipAll(t, k.DirIVTarget(testIV), func(s string) error { _, err := k.ParseDirIV(s); return err }, ErrDirIV)
	flipAll(t, k.SealTarget("../target"), func(s string) error { _, err := k.OpenTarget(s); return err }, ErrTarget)
	flipAll(t, string(k.DirXattr().Seal([]byte("text/plain"), xname)),
		func(s string) error { _, err := k.DirXattr().Open([]byte(s), xname); return err }, ErrXattr)
	flipAll(t, string(State{Clean: true, Counter: 17}.Marshal(k)), func(s string) error { _, err := ParseState([]byte(s), k); return err }, ErrState)
}

func flipAll(t *testing.T, s string, open func(string) error, want error) {
	t.Helper()
	if err := open(s); err != nil {
		t.Fatal(err)
	}
	for i := range len(s) * 8 {
		b := []byte(s)
		b[i/8] ^= 1 << (i % 8)
		if err := open(string(b)); !errors.Is(err, want) {
			t.Fatalf("%q, bit %d of byte %d flipped: %v", s, i%8, i/8, err)
		}
	}
}

func TestLongNames(t *testing.T) {
	k := testNames()
	enc, err := k.EncryptName(testIV, strings.Repeat("x", 161))
	if err != nil || !IsLong(enc) {
		t.Fatal(len(enc), err)
	}
	data, link := LongNames(enc)
	if len(data) != 45 || !strings.HasPrefix(data, "+L") || link != "+N"+data[2:] {
		t.Fatal(data, link)
	}
	if got, ok := LongNameOf(data); !ok || got != link {
		t.Error(got, ok)
	}
	if got, ok := DataNameOf(link); !ok || got != data {
		t.Error(got, ok)
	}
	for _, s := range []string{"", "+L", link, data + "A", data[:44], "+L" + strings.Repeat("=", 43), "+L" + strings.Repeat("_", 43), DirIVName} {
		if got, ok := LongNameOf(s); ok {
			t.Errorf("LongNameOf(%q) = %q", s, got)
		}
	}
	short, _ := k.EncryptName(testIV, "short")
	shortData, _ := LongNames(short)
	other, _ := LongNames(enc + "A")
	for _, c := range []struct {
		stored, enc string
		want        error
	}{{data, enc, nil}, {link, enc, nil}, {data, enc + "A", ErrName}, {other, enc, ErrName}, {shortData, short, ErrName}, {"", enc, ErrName}} {
		if err := CheckLongName(c.stored, c.enc); !errors.Is(err, c.want) {
			t.Errorf("CheckLongName(%q, …): %v, want %v", c.stored, err, c.want)
		}
	}
}
