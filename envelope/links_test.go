package envelope

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDirIV(t *testing.T) {
	k := testNames()
	rapid.Check(t, func(t *rapid.T) {
		iv := DirIV(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "iv"))
		target := k.DirIVTarget(iv)
		if got, err := k.ParseDirIV(target); err != nil || got != iv || len(target) != 37 {
			t.Fatalf("%q: %x, %v", target, got, err)
		}
	})
	for name, target := range badDirIVs(k) {
		if _, err := k.ParseDirIV(target); !errors.Is(err, ErrDirIV) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func badDirIVs(k *NameKeys) map[string]string {
	good := k.DirIVTarget(testIV)
	iv, mac := good[3:25], good[26:]
	return map[string]string{
		"empty":           "",
		"mark-alone":      "k1:",
		"mark-2":          "k2:" + good[3:],
		"mark-upper":      "K1:" + good[3:],
		"no-mac":          good[:25],
		"empty-mac":       good[:26],
		"no-colon":        "k1:" + iv + mac,
		"short-mac":       good[:36],
		"long-mac":        good + "A",
		"newline":         good + "\n",
		"newline-inside":  "k1:" + iv[:9] + "\n" + iv[9:] + ":" + mac,
		"stray-bits-iv":   "k1:" + iv[:21] + string(iv[21]+1) + ":" + mac,
		"stray-bits-mac":  good[:36] + string(good[36]+1),
		"padded":          "k1:" + iv + "==:" + mac,
		"short-iv":        "k1:" + iv[:20] + ":" + mac,
		"other-iv":        "k1:AAAAAAAAAAAAAAAAAAAAAA:" + mac,
		"other-mac":       good[:26] + "AAAAAAAAAAA",
		"other-fs":        DeriveNameKeys(&testNK, FSID{}).DirIVTarget(testIV),
		"other-names-key": DeriveNameKeys(&NamesKey{}, testFSID).DirIVTarget(testIV),
		"a-name":          refSeal(&k.name, testIV[:], pad("name", 16)),
	}
}

func TestTarget(t *testing.T) {
	k := testNames()
	rapid.Check(t, func(t *rapid.T) {
		target := string(rapid.SliceOfN(rapid.Byte(), 1, MaxTarget).Draw(t, "target"))
		stored := k.SealTarget(target)
		if got, err := k.OpenTarget(stored); err != nil || got != target {
			t.Fatalf("got %q, %v", got, err)
		}
		if len(stored) != StoredTargetLength(len(target)) || len(stored) < 40 {
			t.Fatalf("%d bytes of target: %d stored", len(target), len(stored))
		}
		if n, err := TargetLength(int64(len(stored))); err != nil || n != int64(len(target)) {
			t.Fatalf("TargetLength(%d) = %d, %v, want %d", len(stored), n, err, len(target))
		}
	})
	for name, stored := range badTargets(k) {
		if got, err := k.OpenTarget(stored); !errors.Is(err, ErrTarget) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func badTargets(k *NameKeys) map[string]string {
	good := k.SealTarget("../target")
	b, _ := decode64(good)
	raw := func(version byte, target, aad string) string {
		return b64.EncodeToString(k.symlink.Seal([]byte{version}, nil, []byte(target), []byte(aad)))
	}
	return map[string]string{
		"empty":          "",
		"plaintext":      "../target",
		"version-0":      raw(0, "../target", "l"),
		"version-2":      raw(2, "../target", "l"),
		"empty-target":   raw(1, "", "l"),
		"other-aad":      raw(1, "../target", "L"),
		"no-aad":         raw(1, "../target", ""),
		"cut":            b64.EncodeToString(b[:len(b)-1]),
		"longer":         b64.EncodeToString(append(bytes.Clone(b), 0)),
		"newline":        good + "\n",
		"newline-inside": good[:8] + "\n" + good[8:],
		"padded":         good + "=",
		"std-alphabet":   "+/" + good[2:],
		"stray-bits":     good[:len(good)-1] + string(good[len(good)-1]+1),
		"sidecar":        NewSidecarName([16]byte{1}),
		"other-fs":       DeriveNameKeys(&testNK, FSID{}).SealTarget("../target"),
		"xattr-key":      b64.EncodeToString(k.DirXattr().Seal([]byte("../target"), "l")),
	}
}

func TestTargetLengths(t *testing.T) {
	if StoredTargetLength(1) != 40 || StoredTargetLength(3042) != MaxDirectLink || StoredTargetLength(3043) <= MaxDirectLink {
		t.Error(StoredTargetLength(1), StoredTargetLength(3042))
	}
	made := map[int64]int64{}
	for n := 1; n <= MaxTarget; n++ {
		made[int64(StoredTargetLength(n))] = int64(n)
	}
	for stored := int64(-8); stored <= int64(StoredTargetLength(MaxTarget)); stored++ {
		n, err := TargetLength(stored)
		if want, ok := made[stored]; ok != (err == nil) || n != want {
			t.Errorf("TargetLength(%d) = %d, %v, want %d", stored, n, err, want)
		}
	}
}

func TestSidecarName(t *testing.T) {
	name := NewSidecarName(seq[[16]byte](0xf0))
	if len(name) != SidecarLength || SidecarLength != 24 || !IsSidecar(name) {
		t.Error(name, len(name))
	}
	for _, s := range []string{"", "+T", name + "A", name[:23], "+L" + name[2:], "+T" + strings.Repeat("_", 22), name[:23] + "\n", testNames().SealTarget("x")} {
		if IsSidecar(s) {
			t.Errorf("IsSidecar(%q)", s)
		}
	}
}

func TestXattrName(t *testing.T) {
	k := testNames()
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, MaxXattrName).Draw(t, "name"))
		stored, err := k.EncryptXattrName(name)
		if err != nil || len(stored) > 255 || !strings.HasPrefix(stored, XattrPrefix) {
			t.Fatalf("%q, %v", stored, err)
		}
		if got, err := k.DecryptXattrName(stored); err != nil || got != name {
			t.Fatalf("got %q, %v", got, err)
		}
	})
	for name, want := range map[string]error{"": ErrName, "a\x00b": ErrName, strings.Repeat("x", 161): ErrNameTooLong, "a/b": nil, ".": nil} {
		if _, err := k.EncryptXattrName(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	for name, stored := range badXattrNames(k) {
		if got, err := k.DecryptXattrName(stored); !errors.Is(err, ErrName) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func badXattrNames(k *NameKeys) map[string]string {
	good := refSeal(&k.xname, nil, pad("name", 16))
	bad := map[string]string{"no-prefix": good, "other-prefix": "user.kmsf." + good, "a-file-name": XattrPrefix + refSeal(&k.name, testIV[:], pad("name", 16))}
	for name, text := range badNames(&k.xname, nil) {
		bad[name] = XattrPrefix + text
	}
	bad["161-bytes"] = XattrPrefix + refSeal(&k.xname, nil, pad(strings.Repeat("x", 161), 176))
	return bad
}

func TestXattrValue(t *testing.T) {
	k := testNames()
	file, dir := testFileKeys().XattrCipher(), k.DirXattr()
	name, _ := k.EncryptXattrName("a")
	other, _ := k.EncryptXattrName("b")
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "value")
		stored := file.Seal(value, name)
		if got, err := file.Open(stored, name); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("got %q, %v", got, err)
		}
		if n, err := OpenedLength(len(stored)); err != nil || n != len(value) || SealedLength(n) != len(stored) {
			t.Fatalf("%d bytes stored for %d: %d, %v", len(stored), len(value), n, err)
		}
		for what, c := range map[string]struct {
			cipher *XattrCipher
			stored []byte
			name   string
		}{
			"name":    {file, stored, other},
			"key":     {dir, stored, name},
			"version": {file, append([]byte{2}, stored[1:]...), name},
			"length":  {file, stored[:len(stored)-1], name},
			"end":     {file, append(bytes.Clone(stored), 0), name},
			"cut":     {file, stored[:28], name},
			"empty":   {file, nil, name},
		} {
			if got, err := c.cipher.Open(c.stored, c.name); !errors.Is(err, ErrXattr) || got != nil {
				t.Fatalf("other %s: %q, %v", what, got, err)
			}
		}
	})
	if _, err := OpenedLength(28); !errors.Is(err, ErrXattr) {
		t.Error(err)
	}
}
