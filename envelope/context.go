package envelope

import "encoding/hex"

// NamesContext is the encryption context under which the names key is wrapped,
// rule K4. A new map for every call.
func NamesContext(fsid FSID) map[string]string {
	return map[string]string{
		"kmsfs:format": "1",
		"kmsfs:fs":     hex.EncodeToString(fsid[:]),
		"kmsfs:use":    "names",
	}
}

// DataContext is the encryption context under which a data key is wrapped, rule
// K4. It names no path: a rename would break it.
func DataContext(fsid FSID, id DataKeyID) map[string]string {
	return map[string]string{
		"kmsfs:format": "1",
		"kmsfs:fs":     hex.EncodeToString(fsid[:]),
		"kmsfs:use":    "data",
		"kmsfs:dk":     hex.EncodeToString(id[:]),
	}
}
