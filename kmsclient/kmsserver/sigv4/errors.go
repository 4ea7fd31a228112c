package sigv4

import (
	"fmt"
	"strings"
	"time"
)

// Error is a refused request, in AWS's words: the error name that goes into
// __type, and the text for the caller. It repeats no part of the request that
// could be a secret put in the wrong place, such as an access key id.
type Error struct {
	Code    string // "InvalidSignatureException"
	Message string
}

// Error gives name and text.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The error names of this package.
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
const (
	CodeMissing    = "MissingAuthenticationTokenException"
	CodeIncomplete = "IncompleteSignatureException"
	CodeInvalid    = "InvalidSignatureException"
)

func missing() *Error { return &Error{CodeMissing, "Missing Authentication Token"} }

func mismatch() *Error {
	return invalid("The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

func incomplete(format string, args ...any) *Error {
	return &Error{CodeIncomplete, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error {
	return &Error{CodeInvalid, fmt.Sprintf(format, args...)}
}

// timeFormat is the basic format of ISO 8601 that AWS uses.
const timeFormat = "20060102T150405Z"

// checkTime refuses a signature that is more than MaxSkew older or newer than
// now, comparing whole seconds.
func checkTime(signed, now time.Time) error {
	now = now.UTC().Truncate(time.Second)
	minutes := int(MaxSkew / time.Minute)
	text := func(what, relation string, limit time.Time, sign string) error {
		return invalid("Signature %s: %s is %s than %s (%s %s %d min.)", what, signed.Format(timeFormat),
			relation, limit.Format(timeFormat), now.Format(timeFormat), sign, minutes)
	}
	if oldest := now.Add(-MaxSkew); signed.Before(oldest) {
		return text("expired", "now earlier", oldest, "-")
	}
	if newest := now.Add(MaxSkew); signed.After(newest) {
		return text("not yet current", "still later", newest, "+")
	}
	return nil
}

// checkScope says everything that is wrong with the credential scope at once, as
// AWS does. The region can be any that looks like one.
func (s *Signature) checkScope(service, terminator string) error {
	var wrong []string
	if !isRegion(s.Region) {
		wrong = append(wrong, "Credential should be scoped to a valid region.")
	}
	if s.Service != service {
		wrong = append(wrong, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", service))
	}
	if terminator != scopeEnd {
		wrong = append(wrong, fmt.Sprintf("Credential should be scoped with a valid terminator: '%s'.", scopeEnd))
	}
	if day := s.Time.Format(timeFormat); s.Date != day[:8] {
		wrong = append(wrong, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 "+
			"version of date from HTTP: '%.8s' != '%s', from '%s'.", s.Date, day[:8], day))
	}
	if wrong != nil {
		return invalid("%s", strings.Join(wrong, " "))
	}
	return nil
}

// isRegion accepts 1 to 32 of a-z, 0-9 and "-".
func isRegion(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}
