package unlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kmsfs/kmsclient"
)

func TestVectors(t *testing.T) {
	for _, c := range []struct {
		name    string
		want    Sealed // the exported fields
		secrets Secrets
	}{
		{"key-file", Sealed{Kind: KindKeyFile}, Secrets{}},
		{"passphrase", Sealed{Kind: KindPassphrase, Cost: Cost{3, 65536, 4}}, Secrets{Passphrase: say(vectorPassphrase)}},
		// Memory that is no multiple of 4 × threads, and a passphrase of blanks and
		// a byte that is not UTF-8.
		{"passphrase-odd", Sealed{Kind: KindPassphrase, Cost: Cost{4, 70001, 3}}, Secrets{Passphrase: say(" \t\r\xff ")}},
		{"kms", Sealed{Kind: KindKMS, URI: vectorURI, Key: vectorKey}, Secrets{KMS: new(fakeKMS).open}},
	} {
		path := file(t, vector(t, c.name))
		s, err := Read(path)
		ok(t, err)
		if s.Kind != c.want.Kind || s.Cost != c.want.Cost || s.URI != c.want.URI || s.Key != c.want.Key {
			t.Errorf("%s is kept by %+v", c.name, s)
		}
		if got := s.text(); string(got) != vector(t, c.name) {
			t.Errorf("%s prints as\n%s", c.name, got)
		}
		opens(t, path, vectorRoot, c.secrets)
	}
	all, err := filepath.Glob("testdata/*.key")
	ok(t, err)
	if len(all) != 4 {
		t.Errorf("%d vectors in testdata, 4 are tested", len(all))
	}
}

// Version 1 is read as leniently as the first reader of it read it.
func TestVersion1(t *testing.T) {
	good := vector(t, "key-file")
	digits := good[len(header1) : len(good)-1]
	for _, text := range []string{good, good[:len(good)-1], header1 + strings.ToUpper(digits)} {
		opens(t, file(t, text), vectorRoot, Secrets{})
	}
	for name, text := range map[string]string{
		"no digits":        header1,
		"a digit missing":  good[:len(good)-2],
		"a digit more":     header1 + digits + "0",
		"two digits more":  header1 + digits + "00\n",
		"two line feeds":   good + "\n",
		"a carriage":       header1 + digits + "\r\n",
		"no digit":         header1 + "x" + digits[1:],
		"leading blank":    " " + good,
		"nothing":          "",
		"another header":   "kmsfs root key\n" + digits,
		"version 01":       "kmsfs root key 01\n" + digits,
		"version 03":       "kmsfs root key 03\n" + digits,
		"version 0":        "kmsfs root key 0\n" + digits,
		"negative version": "kmsfs root key -3\n" + digits,
		"no version":       "kmsfs root key \n" + digits,
		"a huge version":   magic + strings.Repeat("9", 100),
	} {
		_, err := Read(file(t, text))
		want(t, name, err, ErrDamaged)
		if err != nil && strings.Contains(err.Error(), digits[:8]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	_, err := Read(file(t, magic+"3\nanything"))
	want(t, "version 3", err, ErrNewer)
	if errors.Is(err, ErrDamaged) {
		t.Errorf("version 3: %v", err)
	}
}

// Whatever single byte of a file is altered, added or lost, nothing opens but, in
// a key file, another key.
func TestTampering(t *testing.T) {
	for _, name := range []string{"key-file", "passphrase", "kms"} {
		good := vector(t, name)
		refused := func(what, text string) {
			s, err := parse([]byte(text))
			switch {
			case err == nil && s.Kind == KindKeyFile && strings.EqualFold(strings.TrimSuffix(text, "\n"), strings.TrimSuffix(good, "\n")):
				// a digit in upper case, or no last line feed
			case err == nil && s.Kind == KindKeyFile && s.key != vectorRoot:
			case !errors.Is(err, ErrDamaged) && !(strings.HasPrefix(text, magic) && errors.Is(err, ErrNewer)):
				t.Errorf("%s, %s: got %v", name, what, err)
			}
		}
		for i := range len(good) {
			for bit := range 8 {
				b := []byte(good)
				b[i] ^= 1 << bit
				refused(fmt.Sprintf("bit %d of byte %d", bit, i), string(b))
			}
			refused(fmt.Sprintf("cut to %d", i), good[:i])
			refused(fmt.Sprintf("without byte %d", i), good[:i]+good[i+1:])
			refused(fmt.Sprintf("line feed before %d", i), good[:i]+"\n"+good[i:])
			refused(fmt.Sprintf("blank before %d", i), good[:i]+" "+good[i:])
		}
		refused("a byte more", good+"x")
		refused("a line feed more", good+"\n")
	}
}

// Who alters a file on purpose makes the checksum right again.
func TestGrammar(t *testing.T) {
	pass, kms := vector(t, "passphrase"), vector(t, "kms")
	edit := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in the vector", old)
		}
		return resum(strings.Replace(text, old, new, 1))
	}
	for name, text := range map[string]string{
		"unknown method":    edit(pass, "method passphrase", "method scrypt"),
		"key file":          edit(pass, "method passphrase", "method key-file"),
		"fields of another": edit(pass, "method passphrase", "method kms"),
		"no method":         edit(pass, "method passphrase\n", ""),
		"a line twice":      edit(pass, "time 3\n", "time 3\ntime 3\n"),
		"a line missing":    edit(pass, "threads 4\n", ""),
		"a foreign line":    edit(pass, "sealed", "comment x\nsealed"),
		"lines swapped":     edit(pass, "time 3\nmemory 65536\n", "memory 65536\ntime 3\n"),
		"two blanks":        edit(pass, "time 3", "time  3"),
		"blank at the end":  edit(pass, "time 3", "time 3 "),
		"tab":               edit(pass, "time 3", "time\t3"),
		"carriage return":   edit(pass, "time 3\n", "time 3\r\n"),
		"empty line":        edit(pass, "time 3\n", "time 3\n\n"),
		"leading zero":      edit(pass, "time 3", "time 03"),
		"sign":              edit(pass, "time 3", "time +3"),
		"no number":         edit(pass, "time 3", "time three"),
		"name in capitals":  edit(pass, "time 3", "Time 3"),
		"digits in upper":   edit(pass, "4a4b4c", "4A4B4C"),
		"odd digits":        edit(pass, "4a4b4c", "4a4b4"),
		"short salt":        edit(pass, "4a4b4c", "4a4b"),
		"long salt":         edit(pass, "4a4b4c", "4a4b4c4d"),
		"short commitment":  edit(pass, "commitment 58", "commitment "),
		"short seal":        edit(pass, "sealed 60", "sealed "),
		"long seal":         edit(pass, "sealed 60", "sealed 6060"),
		"sum twice":         pass + resum(pass)[len(pass)-len("sum \n")-64:],
		"sum of another":    pass[:len(pass)-69] + kms[len(kms)-69:],

		"empty URI":    edit(kms, "uri "+vectorURI, "uri "),
		"control URI":  edit(kms, "uri fake", "uri \x1b[2J"),
		"URI not text": edit(kms, "uri fake", "uri \xff"),
		"long URI":     edit(kms, "uri ", "uri "+strings.Repeat("x", maxLine)),
		"empty key":    edit(kms, "key "+vectorKey, "key "),
		"long key":     edit(kms, "key ", "key "+strings.Repeat("x", maxLine)),
		"short id":     edit(kms, "id c0", "id "),
		"no blob":      edit(kms, kms[strings.Index(kms, "sealed "):strings.Index(kms, "\nsum")], "sealed "),
		"long blob":    edit(kms, "sealed ", "sealed "+strings.Repeat("00", maxBlob)),
	} {
		_, err := parse([]byte(text))
		want(t, name, err, ErrDamaged)
	}
	for _, text := range []string{pass, kms} { // resum itself is right
		_, err := parse([]byte(resum(text)))
		ok(t, err)
	}
}

// With the checksum made right, each field of a file is still bound to the secret.
func TestForgery(t *testing.T) {
	for _, c := range []struct {
		vector, old, new string
		want             error
	}{
		{"passphrase", "time 3", "time 4", ErrPassphrase},
		{"passphrase", "memory 65536", "memory 65552", ErrPassphrase},
		{"passphrase", "threads 4", "threads 5", ErrPassphrase},
		{"passphrase", "salt 40", "salt 41", ErrPassphrase},
		{"passphrase", "commitment 58", "commitment 59", ErrPassphrase},
		{"passphrase", "sealed 60", "sealed 61", ErrDamaged},          // nonce
		{"passphrase", "6bb1247099a", "6bb1247099b", ErrDamaged},      // ciphertext
		{"passphrase", "5696408f\n", "5696408e\n", ErrDamaged},        // tag
		{"kms", "id c0", "id c1", kmsclient.ErrInvalidCiphertext},     // context
		{"kms", "e0e1e2", "e0e1e3", kmsclient.ErrInvalidCiphertext},   // blob
		{"kms", "key/12345678-", "key/12345679-", ErrDamaged},         // not the key that opens it
		{"kms", "uri fake", "uri take", nil},                          // where to ask is not bound to the blob
		{"passphrase", "method passphrase", "method passphrase", nil}, // not altered
	} {
		text := resum(strings.Replace(vector(t, c.vector), c.old, c.new, 1))
		s, err := Read(file(t, text))
		ok(t, err)
		k, err := s.Unlock(t.Context(), secrets())
		want(t, c.vector+", "+c.new, err, c.want)
		if c.want != nil && k != nil {
			t.Errorf("%s, %s: a key beside an error", c.vector, c.new)
		}
	}
}

func TestLongestFile(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	s := &Sealed{Kind: KindKMS, URI: long, Key: long, id: make([]byte, idSize), sealed: make([]byte, maxBlob)}
	text := s.text()
	if len(text) > maxFile {
		t.Errorf("a file may have %d bytes, and a reader takes %d", len(text), maxFile)
	}
	_, err := Read(file(t, string(text)))
	ok(t, err)
	_, err = Read(file(t, string(text)+strings.Repeat("x", maxFile)))
	want(t, "too long", err, ErrDamaged)
	_, err = Read(filepath.Join(t.TempDir(), "none"))
	want(t, "missing", err, os.ErrNotExist)
}

// Different contents print differently, and each is read back.
func TestPrintParse(t *testing.T) {
	size := func(n int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), n, n) }
	line := rapid.StringMatching(`[ -~äβ€]{1,40}`)
	rapid.Check(t, func(t *rapid.T) {
		s := &Sealed{Kind: rapid.SampledFrom([]Kind{KindKeyFile, KindPassphrase, KindKMS}).Draw(t, "kind")}
		switch s.Kind {
		case KindKeyFile:
			copy(s.key[:], size(32).Draw(t, "key"))
		case KindPassphrase:
			s.Cost = Cost{
				Time:    rapid.Uint32Range(3, maxTime).Draw(t, "time"),
				Memory:  rapid.Uint32Range(minMemory, maxMemory).Draw(t, "memory"),
				Threads: rapid.Uint8Range(1, maxThreads).Draw(t, "threads"),
			}
			s.salt, s.commitment = size(saltSize).Draw(t, "salt"), size(commitmentSize).Draw(t, "commitment")
			s.sealed = size(sealedSize).Draw(t, "sealed")
		case KindKMS:
			s.URI, s.Key = line.Draw(t, "uri"), line.Draw(t, "key")
			s.id, s.sealed = size(idSize).Draw(t, "id"), rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "sealed")
		}
		back, err := parse(s.text())
		if err != nil {
			t.Fatalf("%s: %v", s.text(), err)
		}
		if fmt.Sprintf("%#v", back) != fmt.Sprintf("%#v", s) {
			t.Fatalf("%#v comes back as %#v", s, back)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"key-file", "passphrase", "kms"} {
		text := vector(f, name)
		f.Add([]byte(text), false)
		f.Add([]byte(strings.Replace(text, "3", "4", 1)), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum && bytes.Contains(b, []byte("sum ")) { // what chance will not find
			b = []byte(resum(string(b)))
		}
		s, err := parse(b)
		if err != nil {
			if s != nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("%q: %+v, %v", b, s, err)
			}
			return
		}
		again := s.text()
		if s.Kind == KindKeyFile {
			b = append(bytes.TrimSuffix(bytes.ToLower(b), []byte("\n")), '\n')
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%q prints as %q", b, again)
		}
		if s.Kind == KindKMS { // says what it is without being trusted
			_, err := s.Unlock(context.Background(), Secrets{})
			want(t, "no secrets", err, ErrNoSecret)
		}
	})
}
