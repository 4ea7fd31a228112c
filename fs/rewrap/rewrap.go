// Package rewrap is the walker: after a key rotation it gives every header of a
// cipher directory, and the names key, a new wrapping under the new CMK or key
// material. It never sees a plaintext key (the KMS re-encrypts), never touches a
// body, asks the KMS once per data key, and may be killed at any moment: the
// next run recovers and goes on. It may run beside a mount. Status tells what is
// wrapped under which key, without any KMS.
//
// The rules that comments cite (R1…) are those of docs/format.md.
package rewrap

import (
	"errors"
	"io"
	"log/slog"
)

// Options say what to rewrap, and how.
type Options struct {
	// To is the CMK to wrap under: id, ARN or alias. "" is the key that the
	// directory uses now, which after a rotation of its material means the new
	// material; the KMS tells which one that is by opening the names key, so a run
	// with the ReEncrypt permission alone names its key.
	To string
	// From restricts the run to what is wrapped under this CMK. "" is every key;
	// then only the first recipient of the provider is replaced, and recovery
	// recipients stay.
	From     string
	Provider byte // whose recipients are replaced; 0 = the provider of the names key

	Jobs   int  // goroutines; 0 = 4
	DryRun bool // count only: nothing is written, the KMS is asked for DescribeKey alone
	// Touch lets the mtime of rewrapped files move. Otherwise it is put back after
	// the header is written; a program that writes to the file in these few
	// microseconds has its mtime put back as well. The ctime moves in any case.
	Touch bool
	// ChangedList receives the ciphertext path of each file that was changed,
	// config.json included, with all names of a hard-linked file, each followed by
	// NUL: for rsync --files-from=- -0. A path is written when its change is durable.
	ChangedList io.Writer

	// OnConfig is called when config.json names the new wrapping and before any
	// file is read, so that a live mount can be told to create files under it.
	OnConfig func()
	Progress func(Progress) // called at most ten times a second, by one goroutine at a time
	Log      *slog.Logger   // nil = none

	batch int // headers per batch, for tests; 0 = batchFiles
}

// Progress is how far a run has come.
type Progress struct {
	Pass           int // from 1; see Run
	FilesScanned   int // in this pass
	FilesRewrapped int // in all passes
}

// Report says what a run did. In a dry run, what it would have done.
type Report struct {
	KeyID             string            `json:"key_id"`   // the target, canonical
	Material          string            `json:"material"` // hex, "" if the KMS names none
	DryRun            bool              `json:"dry_run"`
	FilesScanned      int               `json:"files_scanned"`   // inodes of regular files
	FilesCurrent      int               `json:"files_current"`   // needed nothing
	FilesRewrapped    int               `json:"files_rewrapped"` //
	FilesEmpty        int               `json:"files_empty"`     // never written: no header, no key
	DataKeys          int               `json:"data_keys"`       // distinct ones among the rewrapped
	KMSCalls          map[string]uint64 `json:"kms_calls"`       // by operation
	NamesKeyRewrapped bool              `json:"names_key_rewrapped"`
	Passes            int               `json:"passes"`
	Recovered         int               `json:"journal_records_recovered"` // of an earlier run that was cut short
	Errors            []FileError       `json:"errors"`                    // files that were left as they are
	Interrupted       bool              `json:"interrupted"`               // the run stopped early: run it again
}

// FileError is a file or directory that could not be dealt with; everything else
// was. It does not include files that vanished.
type FileError struct {
	Path  string `json:"path"` // ciphertext path in the store
	Err   error  `json:"-"`
	Cause string `json:"error"` // Err in words
}

func newFileError(path string, err error) FileError { return FileError{path, err, err.Error()} }

// Error gives path and cause.
func (e FileError) Error() string { return e.Path + ": " + e.Cause }

// Unwrap gives the cause, for errors.Is.
func (e FileError) Unwrap() error { return e.Err }

var (
	// ErrBusy is a directory that another walker is at work on.
	ErrBusy = errors.New("another rewrap is running on this directory")
	// ErrRotated is a target that was rotated during the run. Run it again.
	ErrRotated = errors.New("the target key was rotated during the run")
	// ErrFit is a new wrapping that does not fit into the file's header.
	ErrFit = errors.New("the new wrapped key does not fit into the header")
)

const (
	defaultJobs  = 4
	maxPasses    = 5
	batchFiles   = 512
	batchJournal = 1 << 20 // bytes
)
