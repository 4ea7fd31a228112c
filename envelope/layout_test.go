package envelope

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestNewLayout(t *testing.T) {
	for h := -512; h <= 8192; h++ {
		_, err := NewLayout(h)
		if want := h == 512 || h == 1024 || h == 2048; (err == nil) != want {
			t.Errorf("header size %d: %v", h, err)
		}
	}
}

// The table of docs/format.md, section "Size law", for H = 512.
func TestSizeLaw(t *testing.T) {
	l := Layout{512}
	for _, c := range []struct {
		plain, stored, page int64
		pos                 int // of the last byte
	}{
		{1, 4096, 0, 0},
		{3552, 4096, 0, 3551},
		{3553, 8192, 1, 0},
		{7616, 8192, 1, 4063},
		{7617, 12288, 2, 0},
		{1 << 30, 1082200064, 264208, 1023},
		{l.MaxSize(), MaxPages * PageSize, MaxPages - 1, PageCapacity - 1},
	} {
		if got := l.CipherSize(c.plain); got != c.stored {
			t.Errorf("CipherSize(%d) = %d, want %d", c.plain, got, c.stored)
		}
		if page, pos := l.Locate(c.plain - 1); page != c.page || pos != c.pos {
			t.Errorf("Locate(%d) = %d, %d, want %d, %d", c.plain-1, page, pos, c.page, c.pos)
		}
	}
}

func TestLayoutAgreesWithCounting(t *testing.T) {
	for _, h := range []int{512, 1024, 2048} {
		l := Layout{h}
		var off int64
		for page := range int64(5) {
			if l.PageStart(page) != off {
				t.Fatalf("H %d: page %d starts at %d, want %d", h, page, l.PageStart(page), off)
			}
			if l.Capacity(page)+Overhead != l.RecordSize(page) || l.RecordSize(page)+l.RecordOffset(page) != PageSize {
				t.Fatalf("H %d: page %d does not add up", h, page)
			}
			for pos := range l.Capacity(page) {
				if gotPage, gotPos := l.Locate(off); gotPage != page || gotPos != pos {
					t.Fatalf("H %d: Locate(%d) = %d, %d, want %d, %d", h, off, gotPage, gotPos, page, pos)
				}
				if off++; l.CipherSize(off) != (page+1)*PageSize {
					t.Fatalf("H %d: CipherSize(%d) = %d", h, off, l.CipherSize(off))
				}
			}
		}
	}
}

// stat of what a writer made gives back the length, whatever is appended short of a page.
func TestPlainSizeInvertsCipherSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Layout{rapid.SampledFrom([]int{512, 1024, 2048}).Draw(t, "H")}
		plain := rapid.Int64Range(1, l.MaxSize()).Draw(t, "plain")
		stored := l.CipherSize(plain)
		page, pos := l.Locate(plain - 1)
		m := NewMeta(pos+1, rapid.Bool().Draw(t, "final"), rapid.Uint16().Draw(t, "epoch"))
		stored += rapid.Int64Range(0, PageSize-1).Draw(t, "remainder")
		if got, err := l.PlainSize(stored, m); err != nil || got != plain {
			t.Fatalf("PlainSize(%d, %#x) = %d, %v, want %d", stored, m, got, err, plain)
		}
		if off, ok := l.PeekOffset(stored); !ok || off != page*PageSize+int64(l.RecordOffset(page)) {
			t.Fatalf("PeekOffset(%d) = %d, %v", stored, off, ok)
		}
	})
}

func TestPlainSize(t *testing.T) {
	l := Layout{512}
	for _, c := range []struct {
		stored int64
		m      Meta
		want   int64
		err    error
	}{
		{0, 0, 0, nil},
		{100, 0, 0, nil},
		{512, 0, 0, nil},
		{4095, 0, 0, nil},
		{4096, NewMeta(5, true, 9), 5, nil},
		{4096, 0, 0, nil}, // the size was durable before the bytes
		{8192, 0, 3552, nil},
		{8192, NewMeta(4064, false, 9), 7616, nil},
		{4096, NewMeta(3553, true, 9), 3552, ErrMeta},
		{4096, NewMeta(0, true, 9), 3552, ErrMeta},
		{8192, NewMeta(4065, true, 9), 7616, ErrMeta},
		{8192, 0xdeadbeef, 7616, ErrMeta},
		{8192, 1, 7616, ErrMeta},
	} {
		if got, err := l.PlainSize(c.stored, c.m); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("PlainSize(%d, %#x) = %d, %v, want %d, %v", c.stored, c.m, got, err, c.want, c.err)
		}
	}
	if _, ok := l.PeekOffset(4095); ok {
		t.Error("PeekOffset(4095) has a page")
	}
	if got := l.CipherSize(0); got != 512 {
		t.Errorf("CipherSize(0) = %d", got)
	}
}
