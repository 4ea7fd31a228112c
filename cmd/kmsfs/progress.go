package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// progress shows how far a long run has come: one line on stderr that is written
// over, on a terminal only.
type progress struct {
	out  io.Writer // nil: nobody to see it
	wide int       // of the last line
}

// newProgress shows progress unless quiet or stderr is no terminal.
func newProgress(quiet bool) *progress {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err != nil || quiet {
		return &progress{}
	}
	return &progress{out: os.Stderr}
}

// say replaces the line. One goroutine at a time.
func (p *progress) say(format string, args ...any) {
	if p.out == nil {
		return
	}
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.out, "\r%-*s", p.wide, line)
	p.wide = len(line)
}

// done wipes the line.
func (p *progress) done() {
	if p.out != nil && p.wide > 0 {
		fmt.Fprintf(p.out, "\r%*s\r", p.wide, "")
	}
}
