package envelope

import (
	"bytes"
	"testing"
)

// Each parser: no input panics, and what is accepted prints as the same bytes. What
// has a random nonce cannot be printed again: it must open to the one plaintext
// that was ever sealed under the key.

func FuzzHeader(f *testing.F) {
	for _, size := range []int{512, 1024, 2048} {
		f.Add(marshal(f, testHeader(size)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, size := range []int{512, 1024, 2048} {
			// The checksum of what was mutated is wrong: try it made right as well.
			for _, fix := range []bool{false, true} {
				if fix && len(b) >= size {
					b = bytes.Clone(b)
					fixCRC(b[:size])
				}
				h, err := ParseHeader(b, size)
				if err != nil {
					continue
				}
				if got, err := h.Marshal(make([]byte, size)); err != nil || !bytes.Equal(got, b[:size]) {
					t.Fatalf("printed %x: %v\nfrom %x", got, err, b[:size])
				}
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	c := testFileKeys().PageCipher(7)
	record := make([]byte, PageSize-512)
	c.Seal(record, 0, []byte("plaintext"), true)
	f.Add(record, int64(0))
	f.Add(make([]byte, PageSize), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, page int64) {
		if len(b) >= metaSize {
			if hole, err := IsHole(b); hole && (err != nil || !isZero(b)) {
				t.Fatal("not a hole")
			}
		}
		plain, err := c.Open(nil, b, page)
		if err != nil {
			return
		}
		if page != 0 || string(plain) != "plaintext" {
			t.Fatal("a forged page opens")
		}
	})
}

func FuzzSize(f *testing.F) {
	f.Add(int64(4096), uint32(NewMeta(5, true, 9)))
	f.Add(int64(9000), uint32(0))
	f.Fuzz(func(t *testing.T, size int64, m uint32) {
		if size < 0 || size > MaxPages*PageSize {
			return
		}
		for _, h := range []int{512, 1024, 2048} {
			l := Layout{h}
			plain, err := l.PlainSize(size, Meta(m))
			if plain < 0 || plain > l.MaxSize() {
				t.Fatalf("PlainSize(%d, %#x) = %d", size, m, plain)
			}
			if n := l.Pages(size); err == nil && m != 0 && n > 0 && l.CipherSize(plain) != n*PageSize {
				t.Fatalf("PlainSize(%d, %#x) = %d, stored in %d", size, m, plain, l.CipherSize(plain))
			}
		}
	})
}

func FuzzName(f *testing.F) {
	k := testNames()
	for _, s := range badNames(&k.name, testIV[:]) {
		f.Add(s)
	}
	f.Add(refSeal(&k.name, testIV[:], pad("name", 16)))
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := k.DecryptName(testIV, s); err == nil {
			if got, err := k.EncryptName(testIV, name); err != nil || got != s {
				t.Fatalf("%q prints as %q, %v", s, got, err)
			}
		}
		if enc, err := k.EncryptName(testIV, s); err == nil {
			if got, err := k.DecryptName(testIV, enc); err != nil || got != s {
				t.Fatalf("%q comes back as %q, %v", s, got, err)
			}
		}
		if link, ok := LongNameOf(s); ok {
			if got, ok := DataNameOf(link); !ok || got != s {
				t.Fatalf("%q comes back as %q", s, got)
			}
		}
	})
}

func FuzzDirIV(f *testing.F) {
	k := testNames()
	for _, s := range badDirIVs(k) {
		f.Add(s)
	}
	f.Add(k.DirIVTarget(testIV))
	f.Fuzz(func(t *testing.T, s string) {
		if iv, err := k.ParseDirIV(s); err == nil && k.DirIVTarget(iv) != s {
			t.Fatalf("%q prints as %q", s, k.DirIVTarget(iv))
		}
	})
}

func FuzzTarget(f *testing.F) {
	k := testNames()
	for _, s := range badTargets(k) {
		f.Add(s)
	}
	f.Add(k.SealTarget("../target"))
	f.Fuzz(func(t *testing.T, s string) {
		target, err := k.OpenTarget(s)
		if err == nil && target != "../target" {
			t.Fatalf("a forged target opens: %q", s)
		}
		if n, err := TargetLength(int64(len(s))); err == nil && StoredTargetLength(int(n)) != len(s) {
			t.Fatalf("TargetLength(%d) = %d", len(s), n)
		}
		if IsSidecar(s) && err == nil {
			t.Fatalf("both a sidecar and a target: %q", s)
		}
	})
}

func FuzzXattrName(f *testing.F) {
	k := testNames()
	for _, s := range badXattrNames(k) {
		f.Add(s)
	}
	f.Add(XattrPrefix + refSeal(&k.xname, nil, pad("name", 16)))
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := k.DecryptXattrName(s); err == nil {
			if got, err := k.EncryptXattrName(name); err != nil || got != s {
				t.Fatalf("%q prints as %q, %v", s, got, err)
			}
		}
	})
}

func FuzzXattrValue(f *testing.F) {
	c := testNames().DirXattr()
	f.Add(c.Seal([]byte("value"), "user.kmsfs.x"), "user.kmsfs.x")
	f.Add([]byte{1}, "")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		value, err := c.Open(b, name)
		if err == nil && (name != "user.kmsfs.x" || string(value) != "value") {
			t.Fatalf("a forged value opens: %x", b)
		}
	})
}

func FuzzConfig(f *testing.F) {
	for _, c := range badConfigs() {
		f.Add([]byte(c.text))
	}
	f.Add(testConfig().Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseConfig(b); err == nil && !bytes.Equal(c.Marshal(), b) {
			t.Fatalf("%q prints as %q", b, c.Marshal())
		}
	})
}

func FuzzState(f *testing.F) {
	k := testNames()
	for _, s := range badStates(k) {
		f.Add([]byte(s))
	}
	f.Add(State{Clean: true}.Marshal(k))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseState(b, k); err == nil && !bytes.Equal(s.Marshal(k), b) {
			t.Fatalf("%q prints as %q", b, s.Marshal(k))
		}
	})
}
