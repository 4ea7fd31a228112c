package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateVectors = flag.Bool("update-vectors", false, "write the vectors that are not there yet; what is there stays")

// print is the text that parseVector reads.
func (v *vector) print() string {
	var out strings.Builder
	for _, key := range v.keys {
		fmt.Fprintf(&out, "%s: %s\n", key, v.vals[key])
	}
	out.WriteByte('\n')
	for b := v.body; len(b) > 0; {
		run := len(b) - len(bytes.TrimLeft(b, string(b[:1])))
		if b[0] >= 0x80 { // TrimLeft takes runes
			run = 1
		}
		if run >= 32 {
			fmt.Fprintf(&out, "repeat %d %02x\n", run, b[0])
			b = b[run:]
			continue
		}
		n := min(32, len(b))
		fmt.Fprintf(&out, "%x\n", b[:n])
		b = b[n:]
	}
	return out.String()
}

// vectors makes all cases, by name. Values come from the tables of the other tests.
type vectors map[string]*vector

// add makes one case; head is "key=value" pairs.
func (vs vectors) add(name, kind string, err error, body []byte, head ...string) *vector {
	if vs[name] != nil {
		panic("two vectors " + name)
	}
	v := &vector{vals: map[string]string{}, body: body}
	v.set("kind", kind)
	if err == nil {
		v.set("expect", "ok")
	} else {
		v.set("expect", classOf(err))
	}
	for _, h := range head {
		key, val, _ := strings.Cut(h, "=")
		v.set(key, val)
	}
	vs[name] = v
	return v
}

// TestUpdateVectors writes new vectors when asked to. A vector, once written, is
// only ever read: a change of format is another format.
func TestUpdateVectors(t *testing.T) {
	if !*updateVectors {
		t.Skip("without -update-vectors")
	}
	vs := vectors{}
	vs.files(t)
	vs.texts(t)
	if err := os.MkdirAll(vectorDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, v := range vs {
		f, err := os.OpenFile(filepath.Join(vectorDir, name+".txt"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(v.print())
		if err2 := f.Close(); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}
}

func hexPair[T ~[16]byte | ~[32]byte](key string, val T) string {
	b := make([]byte, len(val))
	for i := range b {
		b[i] = val[i]
	}
	return key + "=" + hex.EncodeToString(b)
}

var (
	fsidPair = hexPair("fsid", testFSID)
	dkPair   = hexPair("dk", testDK)
	nkPair   = hexPair("nk", testNK)
	ivPair   = hexPair("iv", testIV)
)

func plainPair(s string) string { return "plain=" + hex.EncodeToString([]byte(s)) }

// texts are the cases of names, links, xattrs and control files.
func (vs vectors) texts(t *testing.T) {
	k, other := testNames(), DeriveNameKeys(&NamesKey{}, testFSID)
	for label, name := range map[string]string{
		"one-byte": "a", "15-bytes": "fifteen bytes !", "16-bytes": "sixteen bytes ok", "17-bytes": "seventeen bytes !",
		"utf8": "Übergrößenträger", "not-utf8": "\xff\xfe", "plus": "+dir", "three-dots": "...", "newline": "a\nb",
		"160-bytes": strings.Repeat("n", 160), "161-bytes": strings.Repeat("n", 161), "255-bytes": strings.Repeat("n", 255),
	} {
		enc := must(k.EncryptName(testIV, name))
		vs.add("name-"+label, "name", nil, []byte(enc), fsidPair, nkPair, ivPair, plainPair(name))
		if data, link := LongNames(enc); IsLong(enc) {
			vs.add("long-name-"+label, "long-name", nil, []byte(enc), "stored-name="+data)
			vs.add("long-name-link-"+label, "long-name", nil, []byte(enc), "stored-name="+link)
			vs.add("long-name-hash-"+label, "long-name", ErrName, []byte(enc+"A"), "stored-name="+data)
		}
	}
	short := must(k.EncryptName(testIV, "short"))
	data, _ := LongNames(short)
	vs.add("long-name-short", "long-name", ErrName, []byte(short), "stored-name="+data)
	bad := badNames(&k.name, testIV[:])
	for label, plain := range map[string]string{"dot": ".", "dot-dot": "..", "slash": "a/b"} {
		bad[label] = refSeal(&k.name, testIV[:], pad(plain, 16))
		vs.add("new-name-"+label, "new-name", ErrName, []byte(plain), fsidPair, nkPair, ivPair)
	}
	vs.add("new-name-nul", "new-name", ErrName, []byte("a\x00b"), fsidPair, nkPair, ivPair)
	vs.add("new-name-256-bytes", "new-name", ErrNameTooLong, bytes.Repeat([]byte("n"), 256), fsidPair, nkPair, ivPair)
	bad["other-directory"] = must(k.EncryptName(DirIV{}, "name"))
	bad["other-names-key"] = must(other.EncryptName(testIV, "name"))
	bad["siv-changed"] = "A" + must(k.EncryptName(testIV, "name"))[1:]
	for label, text := range bad {
		vs.add("name-bad-"+label, "name", ErrName, []byte(text), fsidPair, nkPair, ivPair)
	}

	vs.add("diriv", "diriv", nil, []byte(k.DirIVTarget(testIV)), fsidPair, nkPair, hexPair("plain", testIV))
	for label, text := range badDirIVs(k) {
		vs.add("diriv-bad-"+label, "diriv", ErrDirIV, []byte(text), fsidPair, nkPair)
	}
	for label, target := range map[string]string{"relative": "../target", "one-byte": "x", "3042-bytes": strings.Repeat("t", 3042)} {
		vs.add("target-"+label, "target", nil, []byte(k.SealTarget(target)), fsidPair, nkPair, plainPair(target))
	}
	for label, text := range badTargets(k) {
		vs.add("target-bad-"+label, "target", ErrTarget, []byte(text), fsidPair, nkPair)
	}
	for label, name := range map[string]string{"mime": "mime_type", "slash": "a/b", "160-bytes": strings.Repeat("x", 160)} {
		vs.add("xattr-name-"+label, "xattr-name", nil, []byte(must(k.EncryptXattrName(name))), fsidPair, nkPair, plainPair(name))
	}
	for label, text := range badXattrNames(k) {
		vs.add("xattr-name-bad-"+label, "xattr-name", ErrName, []byte(text), fsidPair, nkPair)
	}
	vs.xattrs(k)
	vs.control(k)
}

func (vs vectors) xattrs(k *NameKeys) {
	name, otherName := must(k.EncryptXattrName("mime_type")), must(k.EncryptXattrName("other"))
	file := testFileKeys().XattrCipher()
	of := []string{"stored-name=" + name, fsidPair, dkPair, hexPair("file-id", testFileID)}
	dir := []string{"stored-name=" + name, fsidPair, nkPair}
	good := file.Seal([]byte("text/plain"), name)
	vs.add("xattr-file", "xattr", nil, good, append(of, plainPair("text/plain"))...)
	vs.add("xattr-file-empty", "xattr", nil, file.Seal(nil, name), append(of, plainPair(""))...)
	vs.add("xattr-dir", "xattr", nil, k.DirXattr().Seal([]byte("a\x00b"), name), append(dir, plainPair("a\x00b"))...)
	for label, b := range map[string][]byte{
		"empty": nil, "cut": good[:28], "shorter": good[:len(good)-1], "longer": append(bytes.Clone(good), 0),
		"version-0": append([]byte{0}, good[1:]...), "version-2": append([]byte{2}, good[1:]...),
		"plaintext": []byte("text/plain"), "other-name": file.Seal([]byte("text/plain"), otherName),
		"without-prefix": file.Seal([]byte("text/plain"), name[len(XattrPrefix):]),
		"other-file":     DeriveFileKeys(&testDK, testFSID, FileID{}).XattrCipher().Seal([]byte("text/plain"), name),
		"directory-key":  k.DirXattr().Seal([]byte("text/plain"), name),
	} {
		vs.add("xattr-bad-"+label, "xattr", ErrXattr, b, of...)
	}
}

func (vs vectors) control(k *NameKeys) {
	vs.add("config", "config", nil, testConfig().Marshal(), fsidPair, nkPair)
	c := testConfig()
	c.Recipients = make17(c.Recipients[0])[:16]
	vs.add("config-16-recipients", "config", nil, c.Marshal(), fsidPair, nkPair)
	for label, b := range badConfigs() {
		vs.add("config-bad-"+label, "config", b.want, []byte(b.text), fsidPair, nkPair)
	}
	for label, change := range map[string]func(*Config){
		"kms": func(c *Config) { c.KMS += "x" }, "header-size": func(c *Config) { c.HeaderSize = 1024 },
		"created": func(c *Config) { c.Created++ }, "fsid": func(c *Config) { c.FSID[0]++ }, "mac": func(c *Config) { c.MAC[0]++ },
	} {
		c := testConfig()
		change(c)
		vs.add("config-unsigned-"+label, "config", ErrConfig, c.Marshal(), fsidPair, nkPair)
	}
	for _, s := range []State{{true, seq[[16]byte](1), 7}, {false, seq[[16]byte](1), 1<<64 - 1}} {
		vs.add(fmt.Sprintf("state-clean-%t", s.Clean), "state", nil, s.Marshal(k), fsidPair, nkPair,
			plainPair(fmt.Sprintf("%t %x %d", s.Clean, s.MountID, s.Counter)))
	}
	for label, text := range badStates(k) {
		vs.add("state-bad-"+label, "state", ErrState, []byte(text), fsidPair, nkPair)
	}
}

func sumPairs(plain []byte) []string {
	sum := sha256.Sum256(plain)
	return []string{fmt.Sprintf("plain-size=%d", len(plain)), hexPair("plain-sha256", sum)}
}
