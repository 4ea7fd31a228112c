package localkms

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"kmsfs/kmsclient"
)

// maxContext bounds an encoded encryption context, as AWS bounds its (8 KiB).
const maxContext = 8192

// encodeContext gives the canonical bytes of an encryption context: the number
// of entries, then for each entry, sorted by key, key and value. Numbers and
// length prefixes are 32 bits, big endian. Two contexts have the same bytes only
// if they are equal.
func encodeContext(ec kmsclient.EncryptionContext) ([]byte, error) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(ec)))
	for _, k := range slices.Sorted(maps.Keys(ec)) {
		for _, s := range []string{k, ec[k]} {
			if !utf8.ValidString(s) {
				return nil, fmt.Errorf("encryption context is not valid UTF-8")
			}
			b = append(b, lengthPrefixed([]byte(s))...)
		}
		if len(b) > maxContext {
			return nil, fmt.Errorf("encryption context is longer than %d bytes", maxContext)
		}
	}
	return b, nil
}

// decodeContext is the inverse of encodeContext, and refuses any bytes that
// encodeContext would not have written. It exists to prove that.
func decodeContext(b []byte) (kmsclient.EncryptionContext, bool) {
	next := func() (string, bool) {
		if len(b) < 4 {
			return "", false
		}
		n := uint64(binary.BigEndian.Uint32(b))
		if b = b[4:]; n > uint64(len(b)) {
			return "", false
		}
		s := string(b[:n])
		b = b[n:]
		return s, utf8.ValidString(s)
	}
	if len(b) < 4 || len(b) > maxContext {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	ec, last := kmsclient.EncryptionContext{}, ""
	for i := range n {
		k, ok := next()
		v, ok2 := next()
		if !ok || !ok2 || i > 0 && k <= last {
			return nil, false
		}
		ec[k], last = v, k
	}
	return ec, len(b) == 0
}
