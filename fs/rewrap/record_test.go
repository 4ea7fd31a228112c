package rewrap

import (
	"bytes"
	"testing"

	"kmsfs/envelope"
)

func FuzzRecords(f *testing.F) {
	header := bytes.Repeat([]byte{7}, 512)
	u := undo{Ino: 42, Path: "a/b", Header: header}
	a := answer{Recipient: envelope.Recipient{Provider: 1, Blob: []byte("blob")}}
	target := targetRecord{KeyTag: [16]byte{1}, Material: [32]byte{2}}
	whole := appendFrame(appendFrame(appendFrame(nil, target.payload()), a.payload()), u.payload())
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		last := int64(0)
		for end, p := range frames(b) {
			if end <= last || end > int64(len(b)) {
				t.Fatalf("record ends at %d after %d", end, last)
			}
			last = end
			again = appendFrame(again, p)
			printed := p
			if u, err := parseUndo(p, 512); err == nil {
				printed = u.payload()
			} else if a, err := parseAnswer(p); err == nil {
				printed = a.payload()
			} else if g, err := parseTarget(p); err == nil {
				printed = g.payload()
			}
			if !bytes.Equal(printed, p) {
				t.Errorf("prints %x, read %x", printed, p)
			}
		}
		if !bytes.Equal(again, b[:last]) {
			t.Errorf("prints %x, read %x", again, b[:last])
		}
		// Payloads without a frame, so that the parsers see more than CRCs let through.
		if u, err := parseUndo(b, 512); err == nil && !bytes.Equal(u.payload(), b) {
			t.Error("undo")
		}
		if a, err := parseAnswer(b); err == nil && !bytes.Equal(a.payload(), b) {
			t.Error("answer")
		}
	})
}

// Every cut of a log leaves the records before it.
func TestTornLog(t *testing.T) {
	var log []byte
	var ends []int
	for i := range 5 {
		u := undo{Ino: uint64(i), Path: "p", Header: make([]byte, 512)}
		log = appendFrame(log, u.payload())
		ends = append(ends, len(log))
	}
	for cut := range log {
		want := 0
		for _, e := range ends {
			if e <= cut {
				want++
			}
		}
		got := 0
		for range frames(log[:cut]) {
			got++
		}
		if got != want {
			t.Fatalf("cut at %d: %d records, want %d", cut, got, want)
		}
		flipped := bytes.Clone(log)
		flipped[cut] ^= 1
		got = 0
		for range frames(flipped) {
			got++
		}
		if got != want {
			t.Fatalf("flipped at %d: %d records, want %d", cut, got, want)
		}
	}
}
