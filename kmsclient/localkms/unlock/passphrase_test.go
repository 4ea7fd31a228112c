package unlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestCost(t *testing.T) {
	for _, c := range []struct {
		cost Cost
		ok   bool
	}{
		{DefaultCost(), true},
		{Cost{3, 64 << 10, 4}, true}, // RFC 9106, second recommendation
		{Cost{1, 2 << 20, 4}, true},  // first
		{Cost{1, 192 << 10, 1}, true},
		{Cost{maxTime, maxMemory, maxThreads}, true},
		{Cost{}, false},
		{Cost{0, maxMemory, 4}, false},
		{Cost{maxTime + 1, minMemory, 4}, false},
		{Cost{3, minMemory - 1, 4}, false},
		{Cost{maxTime, 8, 1}, false},
		{Cost{3, maxMemory + 1, 4}, false},
		{Cost{3, 1<<32 - 1, 4}, false},
		{Cost{3, minMemory, 0}, false},
		{Cost{3, minMemory, maxThreads + 1}, false},
		{Cost{1, 192<<10 - 1, 1}, false},
		{Cost{2, minMemory, 4}, false},
	} {
		if err := c.cost.check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.cost, err)
		}
		text := vector(t, "passphrase")
		text = strings.Replace(text, "time 3\nmemory 65536\nthreads 4\n",
			fmt.Sprintf("time %d\nmemory %d\nthreads %d\n", c.cost.Time, c.cost.Memory, c.cost.Threads), 1)
		if _, err := parse([]byte(resum(text))); errors.Is(err, ErrDamaged) == c.ok {
			t.Errorf("a file with %+v: %v", c.cost, err)
		}
	}
}

func TestWrongPassphrase(t *testing.T) {
	s, err := Read(file(t, vector(t, "passphrase")))
	ok(t, err)
	stop := errors.New("no terminal")
	for name, c := range map[string]struct {
		ask  func() ([]byte, error)
		want error
	}{
		"another":             {say("correct horse"), ErrPassphrase},
		"one byte more":       {say(vectorPassphrase + " "), ErrPassphrase},
		"another normal form": {say("correct horse, pa\u0302te a\u0300 choux"), ErrPassphrase},
		"empty":               {say(""), ErrUnusable},
		"too long":            {say(strings.Repeat("x", MaxPassphrase+1)), ErrUnusable},
		"line feed":           {say(vectorPassphrase + "\n"), ErrUnusable},
		"NUL":                 {say(vectorPassphrase + "\x00"), ErrUnusable},
		"none given":          {func() ([]byte, error) { return nil, stop }, stop},
		"nobody to ask":       {nil, ErrNoSecret},
	} {
		k, err := s.Unlock(t.Context(), Secrets{Passphrase: c.ask, KMS: new(fakeKMS).open})
		want(t, name, err, c.want)
		if k != nil {
			t.Errorf("%s: a key beside the error", name)
		}
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: the error shows the passphrase: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Unlock(ctx, secrets())
	want(t, "cancelled", err, context.Canceled)
}

// Every passphrase that was handed over is wiped, whatever becomes of it, and
// each is asked for once.
func TestPassphraseIsWiped(t *testing.T) {
	stop := errors.New("terminal is gone")
	for name, c := range map[string]struct {
		passphrase string
		err        error
	}{
		"right":         {vectorPassphrase, nil},
		"wrong":         {"wrong", nil},
		"unusable":      {"two\nlines", nil},
		"half an input": {"corr", stop},
	} {
		var given []byte
		asked := 0
		ask := func() ([]byte, error) {
			asked++
			given = []byte(c.passphrase)
			return given, c.err
		}
		wiped := func(what string) {
			if asked != 1 || !bytes.Equal(given, make([]byte, len(c.passphrase))) {
				t.Errorf("%s, %s: asked %d times, %q is left", name, what, asked, given)
			}
			asked = 0
		}
		s, err := Read(file(t, vector(t, "passphrase")))
		ok(t, err)
		if k, err := s.Unlock(t.Context(), Secrets{Passphrase: ask}); err == nil {
			k.Wipe()
		}
		wiped("unlock")
		k, err := Create(t.Context(), filepath.Join(t.TempDir(), "root.key"), Passphrase{ask, cheap})
		if err == nil {
			k.Wipe()
		}
		wiped("create")
	}
}

func TestCreateRefusesPassphrase(t *testing.T) {
	for name, c := range map[string]struct {
		m    Passphrase
		want error // nil: any
	}{
		"empty":    {Passphrase{say(""), cheap}, ErrUnusable},
		"nobody":   {Passphrase{nil, cheap}, ErrNoSecret},
		"too weak": {Passphrase{say("x"), Cost{1, 8, 1}}, nil},
		"too much": {Passphrase{say("x"), Cost{3, 1 << 31, 4}}, nil},
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		if _, err := Create(t.Context(), path, c.m); err == nil {
			t.Errorf("%s: no error", name)
		} else if c.want != nil {
			want(t, name, err, c.want)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: a file was made", name)
		}
	}
}

// The longest passphrase, and sealing twice under one: nothing but the cost is
// the same.
func TestPassphraseSealsAnew(t *testing.T) {
	long := strings.Repeat("\xfe", MaxPassphrase)
	var seen [2]*Sealed
	for i := range seen {
		s, err := Passphrase{say(long), cheap}.seal(t.Context(), &vectorRoot)
		ok(t, err)
		seen[i] = s
	}
	for what, f := range map[string]func(*Sealed) []byte{
		"salt":       func(s *Sealed) []byte { return s.salt },
		"commitment": func(s *Sealed) []byte { return s.commitment },
		"nonce":      func(s *Sealed) []byte { return s.sealed[:12] },
		"ciphertext": func(s *Sealed) []byte { return s.sealed[12:] },
	} {
		if bytes.Equal(f(seen[0]), f(seen[1])) {
			t.Errorf("the same %s twice", what)
		}
	}
}

// endsAfter is a context that ends when it has been asked n times.
type endsAfter struct {
	context.Context
	n int
}

func (c *endsAfter) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// Sealing ends with opening what it sealed; where that fails, no file is written.
func TestPassphraseIsVerified(t *testing.T) {
	for n, want := range []error{context.Canceled, context.Canceled, nil} {
		path := file(t, vector(t, "key-file"))
		err := Change(&endsAfter{t.Context(), n}, path, root(t), Passphrase{say("x"), cheap})
		if !errors.Is(err, want) {
			t.Errorf("cancelled at step %d: %v", n+1, err)
		}
		opens(t, path, vectorRoot, Secrets{Passphrase: say("x")})
	}
}

// Argon2id's memory does not stay with the process.
func TestMemoryIsReturned(t *testing.T) {
	resident := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return (m.HeapSys - m.HeapReleased) >> 20
	}
	s, err := Read(file(t, vector(t, "passphrase")))
	ok(t, err)
	debug.FreeOSMemory() // what earlier tests left
	before := resident()
	k, err := s.Unlock(t.Context(), secrets())
	ok(t, err)
	k.Wipe()
	if after := resident(); after > before+16 {
		t.Errorf("%d MiB of heap after unlocking, %d before", after, before)
	}
}

const fipsEnv = "UNLOCK_TEST_FIPS"

// Where only algorithms of FIPS 140-3 are allowed, a passphrase is not, and the
// other methods work.
func TestFIPS(t *testing.T) {
	if os.Getenv(fipsEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS$")
		cmd.Env = append(os.Environ(), fipsEnv+"=1", "GODEBUG=fips140=only")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	s, err := Read(file(t, vector(t, "passphrase")))
	ok(t, err)
	_, err = s.Unlock(t.Context(), secrets())
	want(t, "unlock", err, errors.ErrUnsupported)
	path := file(t, vector(t, "key-file"))
	err = Change(t.Context(), path, root(t), Passphrase{say("x"), cheap})
	want(t, "change", err, errors.ErrUnsupported)
	ok(t, Change(t.Context(), path, root(t), new(fakeKMS).method()))
	opens(t, path, vectorRoot, secrets())
}

func BenchmarkUnlock(b *testing.B) {
	for name, cost := range map[string]Cost{"default": DefaultCost(), "RFC 9106 second": cheap} {
		b.Run(name, func(b *testing.B) {
			s, err := Passphrase{say(vectorPassphrase), cost}.seal(b.Context(), &vectorRoot)
			ok(b, err)
			for b.Loop() {
				k, err := s.Unlock(b.Context(), secrets())
				ok(b, err)
				k.Wipe()
			}
		})
	}
}
