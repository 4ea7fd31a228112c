package kmsclient

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of refusal a KMS may answer with. Every error of a KMS matches
// exactly one of them.
var (
	ErrNotFound          = errors.New("key not found")
	ErrDenied            = errors.New("access denied")
	ErrDisabled          = errors.New("key is disabled")
	ErrPendingDeletion   = errors.New("key is pending deletion")
	ErrInvalidCiphertext = errors.New("invalid ciphertext or encryption context")
	ErrThrottled         = errors.New("request throttled")
	ErrUnavailable       = errors.New("KMS unavailable")
	// ErrInvalidRequest is a request no KMS would accept (a malformed key id, a
	// plaintext over 4096 bytes): a mistake of the caller's, never retried.
	ErrInvalidRequest = errors.New("invalid request")
)

// Error is a refusal by a KMS: which operation, on which key, of which kind, and
// the provider's own words.
type Error struct {
	Op      string // "Decrypt"
	KeyID   string // as far as known: canonical id, or what the caller passed
	Kind    error  // one of the Err values above
	Code    string // the provider's error name, "DisabledException"
	Message string // the provider's text, may be empty
}

// Error gives operation, key, kind and the provider's words.
func (e *Error) Error() string {
	s := strings.TrimSuffix("kms "+e.Op, " ")
	if e.KeyID != "" {
		s += " " + e.KeyID
	}
	s += ": " + e.Kind.Error()
	switch {
	case e.Code != "" && e.Message != "":
		s += fmt.Sprintf(" (%s: %s)", e.Code, e.Message)
	case e.Code != "":
		s += " (" + e.Code + ")"
	case e.Message != "":
		s += " (" + e.Message + ")"
	}
	return s
}

// Unwrap gives the kind, for errors.Is.
func (e *Error) Unwrap() error { return e.Kind }

// Retryable reports whether the same call may succeed later: throttling and an
// unreachable KMS, nothing else.
func Retryable(err error) bool {
	return errors.Is(err, ErrThrottled) || errors.Is(err, ErrUnavailable)
}

// Refused reports whether the KMS answered and said no: the key is disabled,
// pending deletion, gone, or not for us. Waiting does not help; an operator does.
func Refused(err error) bool {
	return errors.Is(err, ErrDenied) || errors.Is(err, ErrDisabled) ||
		errors.Is(err, ErrPendingDeletion) || errors.Is(err, ErrNotFound)
}

// Interrupted is the kind of an error that the end of a context caused: it
// matches ErrUnavailable and the context's own error.
func Interrupted(cause error) error { return fmt.Errorf("%w: %w", ErrUnavailable, cause) }
