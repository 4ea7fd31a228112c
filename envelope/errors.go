package envelope

import "errors"

// What a reader may find wrong. Each names one row of the detection table in
// docs/format.md and one class of fsck.
var (
	ErrMagic       = errors.New("not a kmsfs file: bad magic")
	ErrVersion     = errors.New("unknown format version or suite")
	ErrFlags       = errors.New("header has a flag this version must understand and does not")
	ErrHeader      = errors.New("damaged header")
	ErrForeign     = errors.New("file belongs to another file system")
	ErrCommitment  = errors.New("data key does not belong to this file")
	ErrPage        = errors.New("page failed authentication")
	ErrMeta        = errors.New("page has an impossible meta field")
	ErrName        = errors.New("name is damaged or not of this directory")
	ErrNameTooLong = errors.New("name too long")
	ErrDirIV       = errors.New("directory IV failed authentication")
	ErrTarget      = errors.New("symlink target failed authentication")
	ErrXattr       = errors.New("extended attribute failed authentication")
	ErrConfig      = errors.New("configuration is damaged or not genuine")
	ErrState       = errors.New("state record is damaged or not genuine")
	ErrSize        = errors.New("offset beyond the format's limit")
)
