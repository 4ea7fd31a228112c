package fsck

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap"
	"kmsfs/kmsclient/localkms"
)

// damage is something done to a directory, and the one finding it must give.
type damage struct {
	name    string
	class   Class
	plain   string // of the finding; "" where it cannot be known
	offset  int64
	do      func(w *world) (path string) // absolute path of the finding
	noKeys  bool                         // found without keys as well
	quick   bool                         // found by a quick check as well
	severe  Severity                     // in a clean directory
	unclean Severity                     // in an unclean one, if it differs
}

func TestDamage(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	other := newWorld(t)
	other.zoo()
	big := func(change func(e *editor)) func(w *world) string {
		return func(w *world) string {
			p := w.find("dir/big")
			w.edit(p, change)
			return p
		}
	}
	flip := func(off int64) func(e *editor) { return func(e *editor) { e.b[off] ^= 4 } }
	last := int64(pages - 1)
	for _, d := range []damage{
		{"header", BadHeader, "dir/big", 0, big(flip(300)), true, true, Error, ""},
		{"version", BadHeader, "dir/big", 0, big(flip(8)), true, true, Error, ""},
		{"forged blob", BadHeader, "dir/big", 0, big(func(e *editor) {
			e.header.Recipients[0].Blob[100] ^= 1
			e.putHeader()
		}), false, true, Error, ""},
		{"commitment", BadCommitment, "dir/big", 0, big(func(e *editor) {
			e.header.FileID[0] ^= 1
			e.putHeader()
		}), false, true, Error, ""},
		{"foreign", Foreign, "dir/big", 0, func(w *world) string {
			b, err := os.ReadFile(other.find("dir/big"))
			w.ok(err)
			p := w.find("dir/big")
			w.ok(os.WriteFile(p, b, 0o644))
			return p
		}, true, true, Error, ""},
		{"page", BadPage, "dir/big", 2 * 4096, big(flip(2*4096 + 1000)), false, false, Error, ""},
		{"meta", BadPage, "dir/big", 2 * 4096, big(flip(2 * 4096)), true, false, Error, ""},
		{"first page", BadPage, "dir/big", 512, big(flip(4000)), false, false, Error, ""},
		{"last page", BadPage, "dir/big", last * 4096, big(flip(last*4096 + 1000)), false, true, Error, ""},
		{"bytes after the end", BadPage, "dir/big", last * 4096, big(flip(pages*4096 - 1)), true, true, Error, ""},
		{"moved page", BadPage, "dir/big", 2 * 4096, big(func(e *editor) { copy(e.record(2), e.record(3)) }), false, false, Error, ""},
		{"hole", HoleInDense, "dir/big", 2 * 4096, big(func(e *editor) { clear(e.record(2)); clear(e.record(3)) }), true, false, Error, Info},
		{"hole at the end", HoleInDense, "dir/big", last * 4096, big(func(e *editor) { clear(e.record(last)) }), true, true, Error, Info},
		{"cut", TailNotFinal, "dir/big", 3 * 4096, big(func(e *editor) { e.b = e.b[:4*4096] }), true, true, Suspicious, Info},
		{"stale final", StaleFinal, "dir/big", 4096, big(func(e *editor) { e.seal(1, envelope.PageCapacity, true) }), true, false, Suspicious, Info},
		{"short", ShortInterior, "dir/big", 4096, big(func(e *editor) { e.seal(1, 100, false) }), true, false, Info, ""},
		{"remainder", SizeRemainder, "dir/big", pages * 4096, big(func(e *editor) { e.b = append(e.b, "rest"...) }), true, true, Suspicious, Info},
		{"remainder of a header", SizeRemainder, "dir/big", 512, big(func(e *editor) { e.b = e.b[:1000] }), true, true, Suspicious, Info},
		{"alien name", BadName, "", 0, func(w *world) string {
			p := filepath.Join(w.dir, "lost+found")
			w.ok(os.Mkdir(p, 0o755))
			w.ok(os.WriteFile(filepath.Join(p, "x"), make([]byte, 5000), 0o644))
			return p
		}, true, true, Error, ""},
		{"alien file", BadName, "", 0, func(w *world) string {
			p := filepath.Join(w.dir, ".directory")
			w.ok(os.WriteFile(p, make([]byte, 5000), 0o644))
			return p
		}, true, true, Error, ""},
		{"unknown reserved name", BadName, "", 0, func(w *world) string {
			p := filepath.Join(w.dir, "+what")
			w.ok(os.WriteFile(p, nil, 0o644))
			return p
		}, true, true, Error, ""},
		{"moved to another directory", BadName, "", 0, func(w *world) string {
			from := w.find("small")
			p := filepath.Join(w.find("dir"), filepath.Base(from))
			w.ok(os.Rename(from, p))
			return p
		}, false, true, Error, ""},
		{"long name changed", BadName, "", 0, func(w *world) string {
			p := w.find(longName)
			link, _ := envelope.LongNameOf(filepath.Base(p))
			link = filepath.Join(w.dir, link)
			text, err := os.Readlink(link)
			w.ok(err)
			w.ok(os.Remove(link))
			w.ok(os.Symlink(strings.ToUpper(text), link))
			return p
		}, true, true, Error, ""},
		{"no IV", DirIVMissing, "dir/inner", 0, func(w *world) string {
			p := w.find("dir/inner")
			w.ok(os.Remove(filepath.Join(p, "+dir")))
			return p
		}, true, true, Error, ""},
		{"another IV", DirIVMissing, "dir/inner", 0, func(w *world) string {
			p := w.find("dir/inner")
			text, err := os.Readlink(filepath.Join(other.find("dir/inner"), "+dir"))
			w.ok(err)
			w.ok(os.Remove(filepath.Join(p, "+dir")))
			w.ok(os.Symlink(text, filepath.Join(p, "+dir")))
			return p
		}, false, true, Error, ""},
		{"long name gone", OrphanLongName, "", 0, func(w *world) string {
			p := w.find(longName)
			link, _ := envelope.LongNameOf(filepath.Base(p))
			w.ok(os.Remove(filepath.Join(w.dir, link)))
			return p
		}, true, true, Error, ""},
		{"long name alone", OrphanLongName, "", 0, func(w *world) string {
			p := w.find(longName)
			w.ok(os.Remove(p))
			link, _ := envelope.LongNameOf(filepath.Base(p))
			return filepath.Join(w.dir, link)
		}, true, true, Info, ""},
		{"symlink", BadTarget, "symlink", 0, func(w *world) string {
			p := w.find("symlink")
			w.ok(os.Remove(p))
			w.ok(os.Symlink("/etc/passwd", p))
			return p
		}, false, true, Error, ""},
		{"sidecar gone", BadTarget, "long symlink", 0, func(w *world) string {
			w.ok(os.RemoveAll(filepath.Join(w.dir, "+kmsfs/links")))
			return w.findSidecarLink()
		}, true, true, Error, ""},
		{"sidecar alone", OrphanSidecar, "", 0, func(w *world) string {
			p := w.findSidecarLink()
			text, err := os.Readlink(p)
			w.ok(err)
			w.ok(os.Remove(p))
			return filepath.Join(w.dir, "+kmsfs/links", text)
		}, true, true, Info, ""},
		{"xattr", BadXattr, "dir/big", 0, func(w *world) string {
			p := w.find("dir/big")
			name := w.xattr(w.find("sparse"))
			w.ok(unix.Setxattr(p, name, []byte("\x01 not the value, but long enough"), 0))
			return p
		}, false, false, Error, ""},
		{"xattr of a directory", BadXattr, "dir", 0, func(w *world) string {
			p := w.find("dir")
			w.ok(unix.Setxattr(p, "user.kmsfs.x", []byte("x"), 0))
			return p
		}, false, false, Error, ""},
		{"config", BadConfig, "", 0, func(w *world) string {
			s := w.store(false)
			c, err := cipherdir.ReadConfig(s)
			w.ok(err)
			c.KMS = "local:/elsewhere"
			w.ok(cipherdir.WriteConfig(s, c))
			return filepath.Join(w.dir, "+kmsfs/config.json")
		}, false, true, Error, ""},
		{"old key", OldKey, "dir/big", 0, func(w *world) string {
			p := w.find("dir/big")
			old, err := os.ReadFile(p)
			w.ok(err)
			_, err = w.kms.RotateKeyOnDemand(bg, localkms.RotateKeyOnDemandInput{KeyID: w.key})
			w.ok(err)
			_, err = rewrap.Run(bg, w.store(false), w.kms, rewrap.Options{})
			w.ok(err)
			w.ok(os.WriteFile(p, old, 0o644))
			return p
		}, true, true, Info, ""},
		{"journal", PendingJournal, "", 0, func(w *world) string {
			dir := filepath.Join(w.dir, "+kmsfs/rewrap")
			w.ok(os.MkdirAll(dir, 0o700))
			p := filepath.Join(dir, "journal")
			payload := slices.Concat([]byte{1}, make([]byte, 8+32), []byte{0, 1}, []byte("x"), make([]byte, 512))
			b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
			b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
			w.ok(os.WriteFile(p, append(b, payload...), 0o600))
			return p
		}, true, true, Info, ""},
	} {
		t.Run(d.name, func(t *testing.T) { d.test(t, w) })
	}
}

func (d *damage) test(t *testing.T, from *world) {
	w := from.clone(t)
	path := w.rel(d.do(w))
	expect := func(what string, o Options, found bool, severe Severity) {
		t.Helper()
		r := w.check(o)
		var got []Finding
		for _, f := range r.Findings {
			// The zoo has a sparse file whose first page is short: sound.
			if f.Class != ShortInterior || f.Path == path {
				got = append(got, f)
			}
		}
		if !found {
			if len(got) != 0 {
				t.Errorf("%s: %v", what, got)
			}
			return
		}
		if len(got) != 1 || got[0].Class != d.class || got[0].Path != path || got[0].Offset != d.offset || got[0].Severity != severe {
			t.Errorf("%s: got %v, want %s %s %s at %d", what, got, severe, d.class, path, d.offset)
			return
		}
		if o.KMS != nil && got[0].Plain != d.plain || o.KMS == nil && got[0].Plain != "" {
			t.Errorf("%s: plaintext path %q, want %q", what, got[0].Plain, d.plain)
		}
		if r.Bad() != (severe != Info) {
			t.Errorf("%s: Bad is %v with %v", what, r.Bad(), severe)
		}
	}
	expect("full", Options{KMS: w.kms}, true, d.severe)
	expect("quick", Options{KMS: w.kms, Quick: true}, d.quick, d.severe)
	expect("without keys", Options{}, d.noKeys, d.severe)
	if d.unclean != "" {
		w.unclean()
		expect("unclean", Options{KMS: w.kms}, true, d.unclean)
		expect("unclean, without keys", Options{}, d.noKeys, d.unclean)
	}
}

// unclean marks the directory as a crash leaves it.
func (w *world) unclean() {
	w.Helper()
	v := w.mount()
	w.ok(v.Root().Utimens(unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_OMIT}))
}

func (w *world) findSidecarLink() (path string) {
	w.Helper()
	entries, err := os.ReadDir(w.dir)
	w.ok(err)
	for _, e := range entries {
		text, err := os.Readlink(filepath.Join(w.dir, e.Name()))
		if err == nil && envelope.IsSidecar(text) {
			return filepath.Join(w.dir, e.Name())
		}
	}
	w.Fatal("no symlink with a sidecar")
	return ""
}

// xattr is the stored name of the file's one attribute.
func (w *world) xattr(path string) string {
	w.Helper()
	b := make([]byte, 1000)
	n, err := unix.Listxattr(path, b)
	w.ok(err)
	for name := range strings.SplitSeq(string(b[:n]), "\x00") {
		if strings.HasPrefix(name, envelope.XattrPrefix) {
			return name
		}
	}
	w.Fatal("no attribute")
	return ""
}
