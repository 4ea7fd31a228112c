// Package fsck checks a cipher directory without changing anything: headers,
// pages, names, directory IVs, symlinks and extended attributes, each against
// the keys where they can be had, against the format's structure where not. It
// works on a read-only store, on a backup, and beside a mount, whose writes in
// flight are not taken for damage.
package fsck

import (
	"fmt"

	"kmsfs/kmsclient"
)

// Class is a kind of finding. docs/format.md, "What fsck finds", has the table.
type Class string

// The classes. What tells them apart is in Finding.Detail.
const (
	BadHeader      Class = "BAD-HEADER"      // header damaged, of an unknown version, or its wrapped keys are not genuine
	BadCommitment  Class = "BAD-COMMITMENT"  // the data key opens, but is not this file's
	BadPage        Class = "BAD-PAGE"        // a page is damaged, moved or forged
	HoleInDense    Class = "HOLE-IN-DENSE"   // zeros where a file without holes must have pages
	TailNotFinal   Class = "TAIL-NOT-FINAL"  // the last page was not the last when it was sealed: the file was cut
	StaleFinal     Class = "STALE-FINAL"     // an inner page says that it is the last
	ShortInterior  Class = "SHORT-INTERIOR"  // an inner page is not full; the rest of it reads as zeros
	SizeRemainder  Class = "SIZE-REMAINDER"  // bytes after the last whole page, which readers ignore
	BadName        Class = "BAD-NAME"        // a name that is not of this directory; the view hides it
	DirIVMissing   Class = "DIRIV-MISSING"   // a directory without a genuine IV: its names cannot be read
	OrphanLongName Class = "ORPHAN-LONGNAME" // one half of a long name without the other
	OldKey         Class = "OLD-KEY"         // wrapped under another key than the names key is: see rewrap
	PendingJournal Class = "PENDING-JOURNAL" // a rewrap was cut short, or is running
	KeyUnavailable Class = "KEY-UNAVAILABLE" // the KMS refused: contents not checked
	Foreign        Class = "FOREIGN"         // a file of another kmsfs file system
	BadTarget      Class = "BAD-TARGET"      // a symlink whose target is damaged or gone
	BadXattr       Class = "BAD-XATTR"       // an extended attribute that is damaged or not of this file
	BadConfig      Class = "BAD-CONFIG"      // config.json is not genuine
	OrphanSidecar  Class = "ORPHAN-SIDECAR"  // the target of a symlink that is gone
	Unreadable     Class = "UNREADABLE"      // the store gave an error
)

// Severity says what a finding means.
type Severity string

const (
	// Error is data that the mount refuses, or cannot find.
	Error Severity = "error"
	// Suspicious is what no crash explains in a directory that was unmounted
	// cleanly, though the mount reads it: suspected tampering.
	Suspicious Severity = "suspicious"
	// Info is what a crash, a refusal by the KMS or a rotation leaves.
	Info Severity = "info"
)

// severity of a class in a directory that is clean or not. Findings that differ
// within their class carry their own.
func severity(c Class, clean bool) Severity {
	switch c {
	case TailNotFinal, StaleFinal, SizeRemainder:
		if clean {
			return Suspicious
		}
		return Info
	case HoleInDense: // after a crash the mount reads it as zeros
		if clean {
			return Error
		}
		return Info
	case ShortInterior, OldKey, PendingJournal, KeyUnavailable, OrphanSidecar:
		return Info
	}
	return Error
}

// Finding is one thing found.
type Finding struct {
	Class    Class    `json:"class"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path"`                 // ciphertext path in the store, "." for its root
	Plain    string   `json:"plain_path,omitempty"` // path in the view, "" if not known
	Offset   int64    `json:"offset"`               // ciphertext byte where it starts, 0 if it is not in the contents
	Detail   string   `json:"detail"`
}

// String is one line: severity, class, path, offset and detail.
func (f Finding) String() string {
	path := f.Path
	if f.Plain != "" {
		path += " (" + f.Plain + ")"
	}
	return fmt.Sprintf("%s %s %s at %d: %s", f.Severity, f.Class, path, f.Offset, f.Detail)
}

// Report is the outcome of a check.
type Report struct {
	FSID        string            `json:"fs_id"`
	Quick       bool              `json:"quick"`
	Clean       bool              `json:"clean"`         // unmounted in good order, and not mounted since
	NamesKnown  bool              `json:"names_checked"` // the names key could be had
	Directories int               `json:"directories"`
	Files       int               `json:"files"` // inodes of regular files
	Symlinks    int               `json:"symlinks"`
	Others      int               `json:"others"` // fifos, sockets, devices
	Pages       int64             `json:"pages"`  // looked at
	Unchecked   int               `json:"files_not_authenticated"`
	Errors      int               `json:"errors"`
	Suspicious  int               `json:"suspicious"`
	Counts      map[Class]int     `json:"counts"`
	Findings    []Finding         `json:"findings"` // sorted by path and offset
	Omitted     int               `json:"findings_omitted"`
	KMSCalls    map[string]uint64 `json:"kms_calls"`
}

// Bad reports whether there is damage or suspected tampering: exit code 4.
func (r *Report) Bad() bool { return r.Errors+r.Suspicious > 0 }

// Options say what to check.
type Options struct {
	// KMS opens names key and data keys, each distinct one once. nil: without
	// keys, only structure is checked.
	KMS   kmsclient.KMS
	Quick bool // headers, names and last pages only
	Jobs  int  // goroutines; 0 = 4
	// MaxFindings bounds the findings listed per class, so that a report about a
	// large directory stays readable; all are counted. 0 = 1000.
	MaxFindings int
	Progress    func(Progress) // at most ten times a second, by one goroutine at a time
}

// Progress is how far a check has come.
type Progress struct {
	Files int
	Pages int64
}
