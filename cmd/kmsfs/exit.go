package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/awskms"
	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/unlock"
)

// The exit codes. They are part of the interface: see README.md.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitKMS          = 3  // KMS refused or unreachable
	exitIntegrity    = 4  // damage or tampering found
	exitPartly       = 5  // partly done, run again
	exitNotCipherDir = 10 // not a cipher directory
)

// Outcomes that have an exit code of their own and are nobody else's error.
var (
	errNoKMS     = errors.New("KMS cannot be opened")
	errIntegrity = errors.New("integrity failure")
	errPartly    = errors.New("partly done")
	// errReported goes with an error that the verb has told the user already.
	errReported = errors.New("reported")
)

// exitRow is one row of the table: an error, its exit code and the advice to a
// user who gets it.
type exitRow struct {
	err  error
	code int
	hint string
}

// exits is searched from the top: the first error that matches decides. What
// matches none is exitFailed.
var exits = []exitRow{
	{errIntegrity, exitIntegrity, ""},
	{errPartly, exitPartly, "run the same command again: it goes on where it stopped"},
	{localkms.ErrAuditBroken, exitIntegrity, "somebody changed the audit log of the key store; compare it with a backup"},
	{cipherdir.ErrNotCipherDir, exitNotCipherDir, "kmsfs init makes a cipher directory"},
	{cipherdir.ErrNotEmpty, exitFailed, "init wants a new or an empty directory; put existing files in through the mount"},
	{cipherdir.ErrLocked, exitFailed, "a directory is mounted in one place at a time: findmnt -t fuse.kmsfs shows where"},

	{localkms.ErrRootKey, exitKMS, "root.key and kms.db of a key store belong together: restore both from one backup"},
	{localkms.ErrPermissions, exitKMS, ""},
	{localkms.ErrNewer, exitKMS, "use the newer kmsfs"},
	{localkms.ErrDamaged, exitKMS, "restore the key store from its backup: without it nothing opens"},
	{unlock.ErrNoSecret, exitKMS, "the key store has a passphrase: --kms-passphrase-file, or a terminal to ask on"},
	{unlock.ErrPassphrase, exitKMS, "copies of root.key open with the passphrase they were made with"},
	{unlock.ErrUnusable, exitFailed, "a passphrase is 1 to 1024 bytes in one line"},
	{unlock.ErrDamaged, exitKMS, "restore root.key from its backup: without it nothing opens"},
	{unlock.ErrNewer, exitKMS, "use the newer kmsfs"},
	{errNoKMS, exitKMS, ""},
	{kmsclient.ErrDisabled, exitKMS, "kmsfs kms enable-key --key-id KEY lets the key be used again"},
	{kmsclient.ErrPendingDeletion, exitKMS, "kmsfs kms cancel-key-deletion --key-id KEY, then enable-key, brings the key back"},
	{kmsclient.ErrNotFound, exitKMS, "is this the right key store? --kms names another"},
	{kmsclient.ErrInvalidCiphertext, exitKMS, "is this the right key store? --kms names another"},
	{kmsclient.ErrDenied, exitKMS, ""},
	{kmsclient.ErrThrottled, exitKMS, "try again later"},
	{kmsclient.ErrUnavailable, exitKMS, ""},
	{kmsclient.ErrInvalidRequest, exitKMS, ""},

	{envelope.ErrVersion, exitFailed, "it was written by a newer kmsfs"},
	{envelope.ErrFlags, exitFailed, "it was written by a newer kmsfs"},
	{envelope.ErrConfig, exitIntegrity, "restore +kmsfs/config.json from a backup of the cipher directory"},
	{envelope.ErrMagic, exitIntegrity, ""},
	{envelope.ErrHeader, exitIntegrity, ""},
	{envelope.ErrForeign, exitIntegrity, ""},
	{envelope.ErrCommitment, exitIntegrity, ""},
	{envelope.ErrPage, exitIntegrity, ""},
	{envelope.ErrMeta, exitIntegrity, ""},
	{envelope.ErrName, exitIntegrity, ""},
	{envelope.ErrDirIV, exitIntegrity, ""},
	{envelope.ErrTarget, exitIntegrity, ""},
	{envelope.ErrXattr, exitIntegrity, ""},
	{envelope.ErrState, exitIntegrity, ""},

	{unix.ENOSPC, exitFailed, "the disk is full: make room and try again"},
	{unix.EDQUOT, exitFailed, "the quota is used up: make room and try again"},
	{unix.EROFS, exitFailed, "the disk is mounted read-only"},
}

// find gives the row for an error, nil if there is none.
func find(err error) *exitRow {
	for i := range exits {
		if errors.Is(err, exits[i].err) {
			return &exits[i]
		}
	}
	return nil
}

// exitCode gives the exit code for the outcome of a verb.
func exitCode(err error) int {
	var usage usageError
	var told daemonError
	switch row := find(err); {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &told):
		return told.Exit
	case row != nil:
		return row.code
	}
	return exitFailed
}

// hintFor gives the advice for an error: its own, or that of its kind.
func hintFor(err error) string {
	var h hinted
	var usage usageError
	var told daemonError
	var aws *awskms.Error
	switch row := find(err); {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &told):
		return told.Hint
	case errors.As(err, &usage):
		return "see kmsfs --help, or kmsfs VERB --help"
	case errors.As(err, &aws) && row != nil && row.code == exitKMS:
		return hintForAWS(aws)
	case row != nil:
		return row.hint
	}
	return ""
}

// hintForAWS gives the advice for a refusal by AWS, or what speaks its API.
func hintForAWS(e *awskms.Error) string {
	key, action := e.Refusal.KeyID, "kms:"+e.Refusal.Op
	if key == "" {
		key = "KEY"
	}
	if e.Refusal.Op == "ReEncrypt" {
		action = "kms:ReEncryptFrom and kms:ReEncryptTo"
	}
	switch {
	case e.Credentials:
		return "credentials come from AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of the machine; " +
			"aws sts get-caller-identity shows whether they work, and the clock must be right"
	case errors.Is(e, kmsclient.ErrDenied):
		return fmt.Sprintf("the key policy, an IAM policy or a grant must allow %s on %s", action, key)
	case errors.Is(e, kmsclient.ErrDisabled):
		return fmt.Sprintf("aws kms enable-key --key-id %s lets the key be used again, if its material is there", key)
	case errors.Is(e, kmsclient.ErrPendingDeletion):
		return fmt.Sprintf("aws kms cancel-key-deletion --key-id %s, then enable-key, brings the key back", key)
	case errors.Is(e, kmsclient.ErrNotFound), errors.Is(e, kmsclient.ErrInvalidCiphertext):
		return "is this the right account and region? --kms aws:REGION and AWS_PROFILE name others"
	case errors.Is(e, kmsclient.ErrThrottled):
		return "the request quota of the account is used up: try again later"
	case errors.Is(e, kmsclient.ErrUnavailable) && strings.Contains(e.Refusal.Message, "x509: "):
		return "AWS_CA_BUNDLE=FILE names the certificate of the endpoint, or of who signed it"
	case errors.Is(e, kmsclient.ErrUnavailable):
		return "is the endpoint right and in reach? --kms aws:REGION?endpoint=URL and AWS_ENDPOINT_URL_KMS name it"
	}
	return ""
}

// hinted is an error with advice of its own.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// withHint adds advice to an error; the error stays what it is.
func withHint(err error, hint string) error { return hinted{err, hint} }
