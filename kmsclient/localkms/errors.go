package localkms

import (
	"errors"
	"fmt"

	"kmsfs/kmsclient"
)

// codes maps AWS's error names to the kinds of package kmsclient.
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
var codes = map[string]error{
	"AlreadyExistsException":        kmsclient.ErrInvalidRequest,
	"DisabledException":             kmsclient.ErrDisabled,
	"IncorrectKeyException":         kmsclient.ErrInvalidCiphertext,
	"InvalidAliasNameException":     kmsclient.ErrInvalidRequest,
	"InvalidCiphertextException":    kmsclient.ErrInvalidCiphertext,
	"InvalidMarkerException":        kmsclient.ErrInvalidRequest,
	"KMSInternalException":          kmsclient.ErrUnavailable,
	"KMSInvalidStateException":      kmsclient.ErrInvalidRequest, // but see refusePendingDeletion
	"LimitExceededException":        kmsclient.ErrInvalidRequest,
	"NotAuthorizedException":        kmsclient.ErrDenied,
	"NotFoundException":             kmsclient.ErrNotFound,
	"UnsupportedOperationException": kmsclient.ErrInvalidRequest,
	"ValidationException":           kmsclient.ErrInvalidRequest,
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

// inRange checks a number, or the length of a parameter, as AWS words it.
func inRange(param, noun string, n, low, high int) error {
	switch {
	case n < low:
		return invalid(param, fmt.Sprintf("Member must have %s greater than or equal to %d", noun, low))
	case n > high:
		return invalid(param, fmt.Sprintf("Member must have %s less than or equal to %d", noun, high))
	}
	return nil
}

func isRefusal(err error) bool {
	var e *kmsclient.Error
	return errors.As(err, &e)
}
