package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const vectorDir = "testdata/vectors"

// classes names the errors of a vector's "expect" line.
var classes = map[string]error{
	"ok": nil, "bad-magic": ErrMagic, "bad-version": ErrVersion, "bad-flags": ErrFlags, "bad-header": ErrHeader,
	"foreign": ErrForeign, "bad-commitment": ErrCommitment, "bad-page": ErrPage, "bad-meta": ErrMeta,
	"hole-in-dense": errHole, "bad-name": ErrName, "name-too-long": ErrNameTooLong, "bad-diriv": ErrDirIV,
	"bad-target": ErrTarget, "bad-xattr": ErrXattr, "bad-config": ErrConfig, "bad-state": ErrState,
}

func classOf(err error) string {
	for name, c := range classes {
		if errors.Is(err, c) {
			return name
		}
	}
	return "unknown: " + err.Error()
}

// A vector is one case: "key: value" lines, an empty line, and the stored bytes in
// hexadecimal, where a line "repeat N XX" stands for N bytes XX.
type vector struct {
	keys []string
	vals map[string]string
	body []byte
}

func parseVector(text string) (*vector, error) {
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		return nil, errors.New("no empty line")
	}
	v := &vector{vals: map[string]string{}}
	for line := range strings.SplitSeq(head, "\n") {
		key, val, ok := strings.Cut(line, ":")
		if _, twice := v.vals[key]; !ok || twice {
			return nil, fmt.Errorf("bad line %q", line)
		}
		v.set(key, strings.TrimSpace(val))
	}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if f := strings.Fields(line); len(f) == 3 && f[0] == "repeat" {
			n, err := strconv.Atoi(f[1])
			c, err2 := strconv.ParseUint(f[2], 16, 8)
			if err = errors.Join(err, err2); err != nil {
				return nil, err
			}
			v.body = append(v.body, bytes.Repeat([]byte{byte(c)}, n)...)
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			return nil, err
		}
		v.body = append(v.body, b...)
	}
	return v, nil
}

func (v *vector) set(key, val string) {
	if _, has := v.vals[key]; !has {
		v.keys = append(v.keys, key)
	}
	v.vals[key] = val
}

func (v *vector) bytes(t testing.TB, key string) []byte {
	b, err := hex.DecodeString(v.vals[key])
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return b
}

func (v *vector) int(t testing.TB, key string) int64 {
	n, err := strconv.ParseInt(v.vals[key], 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return n
}

func (v *vector) fsid(t testing.TB) FSID { return FSID(v.bytes(t, "fsid")) }

func (v *vector) names(t testing.TB) *NameKeys {
	nk := NamesKey(v.bytes(t, "nk"))
	return DeriveNameKeys(&nk, v.fsid(t))
}

// wantPlain compares what opened with the "plain" line.
func (v *vector) wantPlain(t testing.TB, got string, err error) error {
	if want := string(v.bytes(t, "plain")); err == nil && got != want {
		t.Errorf("opened %q, want %q", got, want)
	}
	return err
}

// readers open the body of a vector, by kind.
var readers = map[string]func(t *testing.T, v *vector) error{
	"file": func(t *testing.T, v *vector) error {
		l, err := NewLayout(int(v.int(t, "header-size")))
		if err != nil {
			return err
		}
		dk := DataKey(v.bytes(t, "dk"))
		plain, err := readFile(v.body, l, v.fsid(t), &dk, v.vals["unclean"] == "true")
		if err == nil && int64(len(plain)) != v.int(t, "plain-size") {
			t.Errorf("%d bytes", len(plain))
		}
		if sum := sha256.Sum256(plain); err == nil && !bytes.Equal(sum[:], v.bytes(t, "plain-sha256")) {
			t.Errorf("sha256 %x", sum)
		}
		return err
	},
	"size": func(t *testing.T, v *vector) error {
		m, err := strconv.ParseUint(v.vals["meta"], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Layout{int(v.int(t, "header-size"))}.PlainSize(v.int(t, "st-size"), Meta(m))
		if got != v.int(t, "plain-size") {
			t.Errorf("size %d", got)
		}
		return err
	},
	"name": func(t *testing.T, v *vector) error {
		k, iv := v.names(t), DirIV(v.bytes(t, "iv"))
		name, err := k.DecryptName(iv, string(v.body))
		if err == nil {
			if enc, err := k.EncryptName(iv, name); err != nil || enc != string(v.body) {
				t.Errorf("encrypts as %q, %v", enc, err)
			}
		}
		return v.wantPlain(t, name, err)
	},
	"new-name": func(t *testing.T, v *vector) error {
		_, err := v.names(t).EncryptName(DirIV(v.bytes(t, "iv")), string(v.body))
		return err
	},
	"long-name": func(t *testing.T, v *vector) error { return CheckLongName(v.vals["stored-name"], string(v.body)) },
	"diriv": func(t *testing.T, v *vector) error {
		k := v.names(t)
		iv, err := k.ParseDirIV(string(v.body))
		return v.wantPlain(t, string(iv[:]), err)
	},
	"target": func(t *testing.T, v *vector) error {
		target, err := v.names(t).OpenTarget(string(v.body))
		if n, err2 := TargetLength(int64(len(v.body))); err == nil && (err2 != nil || n != int64(len(target))) {
			t.Errorf("length %d, %v", n, err2)
		}
		return v.wantPlain(t, target, err)
	},
	"xattr-name": func(t *testing.T, v *vector) error {
		name, err := v.names(t).DecryptXattrName(string(v.body))
		return v.wantPlain(t, name, err)
	},
	"xattr": func(t *testing.T, v *vector) error {
		var c *XattrCipher
		if v.vals["dk"] != "" {
			dk := DataKey(v.bytes(t, "dk"))
			c = DeriveFileKeys(&dk, v.fsid(t), FileID(v.bytes(t, "file-id"))).XattrCipher()
		} else {
			c = v.names(t).DirXattr()
		}
		value, err := c.Open(v.body, v.vals["stored-name"])
		return v.wantPlain(t, string(value), err)
	},
	"config": func(t *testing.T, v *vector) error {
		c, err := ParseConfig(v.body)
		if err != nil {
			return err
		}
		if !bytes.Equal(c.Marshal(), v.body) {
			t.Error("prints as other bytes")
		}
		return c.Verify(v.names(t))
	},
	"state": func(t *testing.T, v *vector) error {
		s, err := ParseState(v.body, v.names(t))
		return v.wantPlain(t, fmt.Sprintf("%t %x %d", s.Clean, s.MountID, s.Counter), err)
	},
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	ok := 0
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			v, err := parseVector(string(text))
			if err != nil {
				t.Fatal(err)
			}
			want, known := classes[v.vals["expect"]]
			read := readers[v.vals["kind"]]
			if !known || read == nil {
				t.Fatalf("kind %q, expect %q", v.vals["kind"], v.vals["expect"])
			}
			if err := read(t, v); !errors.Is(err, want) {
				t.Errorf("%v, want %s", err, v.vals["expect"])
			}
			if want == nil {
				ok++
			}
		})
	}
	if ok*2 >= len(files) {
		t.Errorf("%d of %d vectors are successes: failures must outnumber them", ok, len(files))
	}
}
