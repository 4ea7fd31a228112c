package envelope

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const stateMark = "kmsfs-state 1 "

// State says whether the last mount ended in good order, rule C5.
type State struct {
	Clean   bool
	MountID [16]byte // of the mount that wrote the record
	Counter uint64   // +1 at every record
}

// Marshal prints the record, one line:
// "kmsfs-state 1 clean|unclean <mount id> <counter> <hmac>\n", hexadecimal but for
// the counter; the HMAC covers what stands before it, the last space included.
func (s State) Marshal(k *NameKeys) []byte {
	word := "unclean"
	if s.Clean {
		word = "clean"
	}
	b := fmt.Appendf(nil, "%s%s %x %d ", stateMark, word, s.MountID, s.Counter)
	mac := k.StateMAC(b)
	return append(hex.AppendEncode(b, mac[:]), '\n')
}

// ParseState reads what Marshal prints; ErrState for anything else, which callers
// treat as unclean.
func ParseState(b []byte, k *NameKeys) (State, error) {
	text, ok := strings.CutPrefix(string(b), stateMark)
	f := strings.Split(text, " ")
	if !ok || len(b) > 256 || len(f) != 4 {
		return State{}, ErrState
	}
	id, err := hex.DecodeString(f[1])
	counter, err2 := strconv.ParseUint(f[2], 10, 64)
	if err != nil || err2 != nil || len(id) != 16 {
		return State{}, ErrState
	}
	s := State{Clean: f[0] == "clean", MountID: [16]byte(id), Counter: counter}
	if !hmac.Equal(s.Marshal(k), b) {
		return State{}, ErrState
	}
	return s, nil
}
