package envelope

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// files are the cases of regular files and of the size law.
func (vs vectors) files(t *testing.T) {
	l := Layout{512}
	head := []string{fsidPair, dkPair, "header-size=512"}
	ok := func(name string, b, plain []byte, more ...string) {
		vs.add("file-"+name, "file", nil, b, append(append(head[:3:3], more...), sumPairs(plain)...)...)
	}
	bad := func(name string, err error, b []byte) { vs.add("file-bad-"+name, "file", err, b, head...) }
	text := func(n int) []byte { return []byte(strings.Repeat("kmsfs vector. ", n/14+1))[:n] }
	hello := []byte("hello, world\n")
	header := func(change ...func(*Header)) *Header {
		h := testHeader(512)
		for _, c := range change {
			c(h)
		}
		return h
	}
	sparse := func(h *Header) { h.Flags |= FlagSparse }

	one := writeFile(l, header(), &testDK, hello)
	two := writeFile(l, header(), &testDK, []byte("one"), []byte("two"))
	short := make([]byte, l.Capacity(0)+3)
	copy(short, "one")
	copy(short[l.Capacity(0):], "two")

	ok("never-written", nil, nil)
	ok("creation-cut-short", one[:100], nil)
	ok("header-alone", one[:512], nil)
	ok("header-and-part-of-a-page", one[:4095], nil)
	ok("one-page", one, hello)
	ok("one-byte", writeFile(l, header(), &testDK, []byte{0}), []byte{0})
	ok("first-page-full", writeFile(l, header(), &testDK, text(3552)), text(3552))
	ok("second-page-one-byte", writeFile(l, header(), &testDK, split(l, text(3553))...), text(3553))
	ok("two-pages-full", writeFile(l, header(), &testDK, split(l, text(7616))...), text(7616))
	ok("three-pages", writeFile(l, header(), &testDK, split(l, text(7700))...), text(7700))
	ok("short-interior", two, short)
	ok("remainder-ignored", append(bytes.Clone(two), 1, 2, 3), short)
	ok("cut-at-a-page-edge", two[:4096], []byte("one")) // fsck reports it: not FINAL
	ok("last-page-zero", append(bytes.Clone(one), make([]byte, 4096)...), append(hello[:13:13], make([]byte, 3552-13)...))
	ok("only-page-zero", append(bytes.Clone(one[:512]), make([]byte, 3584)...), nil)
	ok("last-page-zero-in-sparse", writeFile(l, header(sparse), &testDK, hello, nil), append(hello[:13:13], make([]byte, 3552-13)...))
	ok("flag-to-ignore", writeFile(l, header(func(h *Header) { h.Flags = 0x8004 }), &testDK, hello), hello)
	ok("sequence-wraps", writeFile(l, header(func(h *Header) { h.Sequence, h.RewrapTime = 1<<32-1, -1 }), &testDK, hello), hello)
	ok("two-recipients", writeFile(l, header(func(h *Header) {
		h.Recipients = append(h.Recipients, Recipient{Provider: ProviderAWS, Blob: bytes.Repeat([]byte("b"), 92)})
	}), &testDK, hello), hello)
	rewrapped := bytes.Clone(one)
	copy(rewrapped, must(header(func(h *Header) {
		h.Bind(testFileKeys())
		h.Sequence, h.Recipients[0].Blob = 4, []byte("another blob")
	}).Marshal(make([]byte, 512))))
	ok("rewrapped", rewrapped, hello)
	hole := make([]byte, l.PageStart(2)+4)
	copy(hole, hello)
	copy(hole[l.PageStart(2):], "last")
	holes := func(h *Header) []byte { return writeFile(l, h, &testDK, hello, nil, []byte("last")) }
	ok("hole-in-sparse", holes(header(sparse)), hole)
	ok("hole-first", writeFile(l, header(sparse), &testDK, nil, []byte("last")), append(make([]byte, 3552), "last"...))
	ok("hole-in-dense-unclean", holes(header()), hole, "unclean=true")
	bad("hole-in-dense", errHole, holes(header()))
	bad("two-last-pages-zero", errHole, append(bytes.Clone(one), make([]byte, 8192)...))
	bad("last-page-zero-with-data", ErrMeta, append(bytes.Clone(one), append(make([]byte, 4095), 1)...))
	bad("hole-with-data", ErrMeta, func() []byte { b := holes(header(sparse)); b[8191] = 1; return b }())
	for _, size := range []int{1024, 2048} {
		lh := Layout{size}
		vs.add(fmt.Sprintf("file-header-%d", size), "file", nil, writeFile(lh, testHeader(size), &testDK, text(lh.Capacity(0)), []byte("x")),
			append([]string{fsidPair, dkPair, fmt.Sprintf("header-size=%d", size)}, sumPairs(append(text(lh.Capacity(0)), 'x'))...)...)
	}
	vs.add("file-bad-no-such-header-size", "file", ErrHeader, one, fsidPair, dkPair, "header-size=4096")
	vs.add("file-bad-other-header-size", "file", ErrHeader, append(bytes.Clone(one), make([]byte, 4096)...), fsidPair, dkPair, "header-size=1024")
	vs.add("file-bad-other-data-key", "file", ErrCommitment, one, fsidPair, hexPair("dk", seq[DataKey](0)), "header-size=512")
	vs.add("file-bad-other-fs", "file", ErrForeign, one, hexPair("fsid", seq[FSID](0)), dkPair, "header-size=512")
	for name, c := range headerFaults {
		b := bytes.Clone(one[:512])
		c.damage(b)
		bad("header-"+name, c.want, b)
	}

	other := writeFile(l, header(func(h *Header) { h.FileID = seq[FileID](0) }), &testDK, []byte("one"), []byte("two"))
	for name, c := range map[string]struct {
		damage func(b []byte)
		want   error
	}{
		"meta-zero":         {func(b []byte) { clear(b[512:516]) }, ErrMeta},
		"last-meta-zero":    {func(b []byte) { clear(b[4096:4100]) }, ErrMeta},
		"length-shorter":    {func(b []byte) { b[513]-- }, ErrPage},
		"length-longer":     {func(b []byte) { b[513]++ }, ErrPage},
		"length-0":          {func(b []byte) { b[512], b[513] = 0x60, 0 }, ErrMeta},
		"length-over":       {func(b []byte) { b[512], b[513] = 0x6d, 0xe1 }, ErrMeta}, // 3553
		"final-set":         {func(b []byte) { b[512] |= 0x20 }, ErrPage},
		"kind-1":            {func(b []byte) { b[512] |= 0x10 }, ErrMeta},
		"mark-00":           {func(b []byte) { b[512] &^= 0xc0 }, ErrMeta},
		"mark-10":           {func(b []byte) { b[512] ^= 0xc0 }, ErrMeta},
		"mark-11":           {func(b []byte) { b[512] |= 0xc0 }, ErrMeta},
		"epoch":             {func(b []byte) { b[515]++ }, ErrPage},
		"nonce":             {func(b []byte) { b[516] ^= 1 }, ErrPage},
		"ciphertext":        {func(b []byte) { b[528] ^= 1 }, ErrPage},
		"tag":               {func(b []byte) { b[531+15] ^= 0x80 }, ErrPage},
		"after-the-tag":     {func(b []byte) { b[547] = 1 }, ErrPage},
		"end-of-page":       {func(b []byte) { b[4095] = 1 }, ErrPage},
		"half-zero":         {func(b []byte) { clear(b[520:4096]) }, ErrPage},
		"last-final-clear":  {func(b []byte) { b[4096] &^= 0x20 }, ErrPage},
		"last-ciphertext":   {func(b []byte) { b[4096+16] ^= 1 }, ErrPage},
		"last-length-over":  {func(b []byte) { binary.BigEndian.PutUint32(b[4096:], uint32(NewMeta(4065, true, 0xe001))) }, ErrMeta},
		"other-file-page-0": {func(b []byte) { copy(b[512:4096], other[512:]) }, ErrPage},
		"other-file-page-1": {func(b []byte) { copy(b[4096:], other[4096:]) }, ErrPage},
		"other-file-header": {func(b []byte) { copy(b[:512], other[:512]) }, ErrPage},
		"page-moved":        {func(b []byte) { copy(b[4096:], append(b[512:4096:4096], make([]byte, 512)...)) }, ErrPage},
	} {
		b := bytes.Clone(two)
		c.damage(b)
		bad("page-"+name, c.want, b)
	}
	swapped := writeFile(l, header(), &testDK, hello, text(4064), text(4064), []byte("x"))
	copy(swapped[4096:], append(swapped[8192:12288:12288], swapped[4096:8192]...))
	bad("pages-swapped", ErrPage, swapped)
	vs.sizes()
}

func (vs vectors) sizes() {
	l := Layout{512}
	for name, c := range map[string]struct {
		stored int64
		m      Meta
		err    error
	}{
		"0":              {0, 0, nil},
		"511":            {511, 0, nil},
		"512":            {512, 0, nil},
		"4095":           {4095, 0, nil},
		"one-byte":       {4096, NewMeta(1, true, 0), nil},
		"first-full":     {4096, NewMeta(3552, true, 0xffff), nil},
		"second":         {8192, NewMeta(1, true, 1), nil},
		"not-final":      {8192, NewMeta(1, false, 1), nil},
		"remainder":      {12287, NewMeta(4064, true, 1), nil},
		"largest":        {MaxPages * PageSize, NewMeta(4064, true, 1), nil},
		"zero-page-0":    {4096, 0, nil},
		"zero-page-1":    {8192, 0, nil},
		"bad-over-first": {4096, NewMeta(3553, true, 0), ErrMeta},
		"bad-over":       {8192, NewMeta(4065, true, 0), ErrMeta},
		"bad-4095":       {8192, 0x4fff0000, ErrMeta},
		"bad-length-0":   {8192, NewMeta(0, true, 7), ErrMeta},
		"bad-mark-00":    {8192, 0x00010000, ErrMeta},
		"bad-mark-10":    {8192, 0x80010000, ErrMeta},
		"bad-mark-11":    {8192, 0xc0010000, ErrMeta},
		"bad-kind":       {8192, 0x50010000, ErrMeta},
		"bad-ones":       {8192, 0xffffffff, ErrMeta},
		"bad-epoch-only": {8192, 1, ErrMeta},
	} {
		plain, _ := l.PlainSize(c.stored, c.m)
		vs.add("size-"+name, "size", c.err, nil, "header-size=512", fmt.Sprintf("st-size=%d", c.stored),
			fmt.Sprintf("meta=%08x", uint32(c.m)), fmt.Sprintf("plain-size=%d", plain))
	}
}
