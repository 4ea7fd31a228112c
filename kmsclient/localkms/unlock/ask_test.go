package unlock

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pipe gives the end to read of a pipe with text in it, and nothing to come.
func pipe(t testing.TB, text string) *os.File {
	r, w, err := os.Pipe()
	ok(t, err)
	t.Cleanup(func() { r.Close() })
	_, err = w.WriteString(text)
	ok(t, err)
	ok(t, w.Close())
	return r
}

func TestReadPassphraseFD(t *testing.T) {
	longest := strings.Repeat("x", MaxPassphrase)
	for _, c := range []struct {
		in, want, rest string
		err            error
	}{
		{in: "secret\n", want: "secret"},
		{in: "secret", want: "secret"},
		{in: " a\tb \r\n", want: " a\tb \r"},
		{in: "\xff\xfe\n", want: "\xff\xfe"},
		{in: "old\nnew\n", want: "old", rest: "new\n"},
		{in: longest, want: longest},
		{in: longest + "\nnext", want: longest, rest: "next"},
		{in: longest + "y\n", err: ErrUnusable, rest: "\n"},
		{in: longest + longest, err: ErrUnusable, rest: longest[1:]},
		{in: "", err: ErrUnusable},
		{in: "\nnext", err: ErrUnusable, rest: "next"},
		{in: "a\x00b\n", err: ErrUnusable},
	} {
		r := pipe(t, c.in)
		got, err := ReadPassphraseFD(int(r.Fd()))
		want(t, c.in, err, c.err)
		if string(got) != c.want || err != nil && got != nil {
			t.Errorf("%.20q gives %q", c.in, got)
		}
		rest, err := io.ReadAll(r)
		ok(t, err)
		if string(rest) != c.rest {
			t.Errorf("%.20q leaves %q", c.in, rest)
		}
	}
	r := pipe(t, "x")
	ok(t, r.Close())
	_, err := ReadPassphraseFD(-1)
	want(t, "no descriptor", err, unix.EBADF)
}

func FuzzReadPassphraseFD(f *testing.F) {
	f.Add([]byte("secret\nmore"))
	f.Add([]byte("\x00\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		in = in[:min(len(in), 4096)] // what a pipe takes without a reader
		r := pipe(t, string(in))
		got, err := ReadPassphraseFD(int(r.Fd()))
		line, _, _ := bytes.Cut(in, []byte("\n"))
		if usable := checkPassphrase(line) == nil; usable != (err == nil) || usable && !bytes.Equal(got, line) {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	})
}
