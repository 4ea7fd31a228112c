// Package envelope is on-disk format 1 of kmsfs, pure: bytes in, bytes out. It
// parses and prints headers, seals and opens pages, names, symlink targets and
// xattrs, and does the arithmetic between plaintext and ciphertext offsets. It
// knows no file, clock, KMS or goroutine. The authority is docs/format.md, whose
// rule numbers (H3, P4, …) the comments cite.
//
// Ciphers come from Go's standard library alone.
package envelope

import "encoding/base64"

// Every constant of format 1. Changing one makes another format.
const (
	Version = 1 // rule H2

	PageSize     = 4096 // bytes of ciphertext of one page on disk, rule P1
	metaSize     = 4
	nonceSize    = 12
	tagSize      = 16
	Overhead     = metaSize + nonceSize + tagSize // bytes of a page that carry no plaintext
	PageCapacity = PageSize - Overhead            // plaintext bytes of any page but the first

	MinHeaderSize = 512 // rule H1: 512, 1024 or 2048
	MaxHeaderSize = 2048
	coreSize      = 128 // bound to the data key, rule H4
	entriesOffset = 144

	// MaxPages bounds the page number: t < 2^40, rule P2.
	MaxPages = int64(1) << 40

	// SealsPerEpoch is how many pages are sealed under one page key before a new
	// epoch is drawn, rule P6.
	SealsPerEpoch = 1 << 26
)

// Lengths and bounds of names, rules N5 and X2.
const (
	MaxName       = 255  // bytes of a plaintext name, and of a stored one
	MaxXattrName  = 160  // bytes of a plaintext xattr name after "user."
	MaxTarget     = 4095 // bytes of a plaintext symlink target
	MaxDirectLink = 4095 // bytes of a stored symlink target on most file systems
)

// Names of ours inside a cipher directory. Whatever starts with Reserved is
// ours and hidden; a user's name that starts so is encrypted like any other.
const (
	Reserved      = '+'
	DirIVName     = "+dir"
	ControlName   = "+kmsfs"
	longDataStart = "+L"
	longNameStart = "+N"
	sidecarStart  = "+T"
	XattrPrefix   = "user.kmsfs."
)

// Header flags, rule H5: a reader refuses unknown bits of the upper half.
const (
	FlagSparse     uint32 = 1 << 0
	flagMustKnow   uint32 = 0xffff0000
	flagKnownUpper uint32 = 0
)

// Fixed-size identifiers and keys: a wrong length does not compile.
type (
	FSID      [16]byte // one per file system
	FileID    [32]byte // one per inode, for its life
	DataKeyID [16]byte // one per data key
	DirIV     [16]byte // one per directory
	DataKey   [32]byte // DK, wrapped in headers
	NamesKey  [32]byte // NK, wrapped in config.json
)

// b64 is base64url without padding, strict: one text per byte string.
var b64 = base64.RawURLEncoding.Strict()
