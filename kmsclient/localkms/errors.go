package localkms

import (
	"errors"
	"fmt"

	"kmsfs/kmsclient"
)

// codes maps AWS's error names to the kinds of package kmsclient.
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
var codes = map[string]error{
	"AccessDeniedException":            kmsclient.ErrDenied,
	"AlreadyExistsException":           kmsclient.ErrInvalidRequest,
	"DisabledException":                kmsclient.ErrDisabled,
	"DryRunOperationException":         kmsclient.ErrInvalidRequest,
	"ExpiredImportTokenException":      kmsclient.ErrInvalidRequest,
	"ExpiredTokenException":            kmsclient.ErrDenied,
	"IncorrectKeyException":            kmsclient.ErrInvalidCiphertext,
	"IncorrectKeyMaterialException":    kmsclient.ErrInvalidRequest,
	"InvalidAliasNameException":        kmsclient.ErrInvalidRequest,
	"InvalidArnException":              kmsclient.ErrInvalidRequest,
	"InvalidCiphertextException":       kmsclient.ErrInvalidCiphertext,
	"InvalidGrantIdException":          kmsclient.ErrInvalidRequest,
	"InvalidGrantTokenException":       kmsclient.ErrInvalidRequest,
	"InvalidImportTokenException":      kmsclient.ErrInvalidRequest,
	"InvalidKeyUsageException":         kmsclient.ErrInvalidRequest,
	"InvalidMarkerException":           kmsclient.ErrInvalidRequest,
	"KMSInternalException":             kmsclient.ErrUnavailable,
	"KMSInvalidMacException":           kmsclient.ErrInvalidCiphertext,
	"KMSInvalidSignatureException":     kmsclient.ErrInvalidCiphertext,
	"KMSInvalidStateException":         kmsclient.ErrInvalidRequest, // but see refusePendingDeletion
	"LimitExceededException":           kmsclient.ErrInvalidRequest,
	"MalformedPolicyDocumentException": kmsclient.ErrInvalidRequest,
	"NotAuthorizedException":           kmsclient.ErrDenied,
	"NotFoundException":                kmsclient.ErrNotFound,
	"SerializationException":           kmsclient.ErrInvalidRequest,
	"TagException":                     kmsclient.ErrInvalidRequest,
	"UnknownOperationException":        kmsclient.ErrInvalidRequest,
	"UnrecognizedClientException":      kmsclient.ErrDenied,
	"UnsupportedOperationException":    kmsclient.ErrInvalidRequest,
	"ValidationException":              kmsclient.ErrInvalidRequest,

	// Of IAM and STS, where they differ.
	"AccessDenied":            kmsclient.ErrDenied,
	"DeleteConflict":          kmsclient.ErrInvalidRequest,
	"EntityAlreadyExists":     kmsclient.ErrInvalidRequest,
	"LimitExceeded":           kmsclient.ErrInvalidRequest,
	"MalformedPolicyDocument": kmsclient.ErrInvalidRequest,
	"NoSuchEntity":            kmsclient.ErrNotFound,
	"ValidationError":         kmsclient.ErrInvalidRequest,
}

// refuse makes the answer "no", in AWS's words. Operation and key are filled in
// by the call that returns it.
func refuse(code, format string, args ...any) *kmsclient.Error {
	return &kmsclient.Error{Kind: codes[code], Code: code, Message: fmt.Sprintf(format, args...)}
}

// invalid is AWS's ValidationException for one parameter, in its wording.
func invalid(param, constraint string) *kmsclient.Error {
	return refuse("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: %s", param, constraint)
}

// inRange checks a number that AWS limits further than its service model says.
func inRange(param string, n, low, high int) error {
	switch {
	case n < low:
		return invalid(param, fmt.Sprintf("Member must have value greater than or equal to %d", low))
	case n > high:
		return invalid(param, fmt.Sprintf("Member must have value less than or equal to %d", high))
	}
	return nil
}

// errLocked is the answer of a store whose root key is locked away to what needs
// it, besides the use of keys, which the state Unavailable refuses.
var errLocked = &kmsclient.Error{
	Kind: kmsclient.ErrUnavailable, Code: "KMSInvalidStateException", Message: "The key store is locked.",
}

func isRefusal(err error) bool {
	var e *kmsclient.Error
	return errors.As(err, &e)
}
