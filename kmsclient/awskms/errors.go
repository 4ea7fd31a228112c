package awskms

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"kmsfs/kmsclient"
)

// Error is what a failed call of a Client gives: a refusal in the terms of package
// kmsclient, and what only AWS knows.
type Error struct {
	Refusal   *kmsclient.Error
	RequestID string // by which AWS's support finds the request; "" if there was no answer
	// Credentials says that the trouble is with the caller's credentials, not with
	// the key: there are none, or AWS does not accept them.
	Credentials bool
}

// Error is the text of the refusal, with the request id.
func (e *Error) Error() string {
	if e.RequestID == "" {
		return e.Refusal.Error()
	}
	return e.Refusal.Error() + ", request " + e.RequestID
}

// Unwrap gives the refusal, for errors.As and errors.Is.
func (e *Error) Unwrap() error { return e.Refusal }

// refusal makes the error of a call from what the SDK says: of exactly one of the
// kinds of package kmsclient.
func refusal(ctx context.Context, op, keyID string, err error) error {
	e, answered := classify(err)
	if cause := interruption(ctx, err); cause != nil && !answered {
		e = &Error{Refusal: &kmsclient.Error{Kind: kmsclient.Interrupted(cause)}}
	}
	e.Refusal.Op, e.Refusal.KeyID = op, keyID
	if named := keyARN.FindString(e.Refusal.Message); named != "" {
		e.Refusal.KeyID = named
	}
	return e
}

// keyARN finds the key in the text of a refusal: Decrypt learns of it only there.
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
var keyARN = regexp.MustCompile(`arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+`)

// interruption is the context's error if its end is why the call failed. The rate
// limit gives up early where the deadline would pass in its queue.
func interruption(ctx context.Context, err error) error {
	var limit *limitError
	if errors.As(err, &limit) && ctx.Err() == nil {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// classify gives kind, name and text of an error of the SDK; answered says that
// they are KMS's own words.
func classify(err error) (e *Error, answered bool) {
	var (
		unsigned *credentialsError
		said     smithy.APIError
		sending  *smithyhttp.RequestSendError
		garbled  *smithy.DeserializationError
		response *awshttp.ResponseError
		missing  *aws.MissingRegionError
	)
	r := &kmsclient.Error{}
	e = &Error{Refusal: r}
	status := 0
	if errors.As(err, &response) && response.Response != nil {
		status, e.RequestID = response.HTTPStatusCode(), response.ServiceRequestID()
	}
	switch {
	case errors.As(err, &unsigned):
		r.Kind, r.Message, e.Credentials = unsigned.kind(), line(unsigned.Error()), true
		e.RequestID = ""
	case errors.As(err, &said):
		r.Code, r.Message = line(said.ErrorCode()), line(said.ErrorMessage())
		if r.Message == noCode { // what the SDK makes of no text
			r.Message = ""
		}
		r.Kind = kindOf(r.Code, r.Message, status)
		if _, e.Credentials = credentialCodes[r.Code]; e.Credentials {
			r.Message = strings.TrimSuffix("the credentials are not accepted: "+r.Message, ": ")
		}
		if r.Code == noCode {
			r.Code, r.Message = "", fmt.Sprintf("HTTP status %d without an error of KMS", status)
		}
		return e, true
	case errors.As(err, &sending):
		r.Kind, r.Message = kmsclient.ErrUnavailable, late(sending)+line(sending.Err.Error())
	case errors.As(err, &garbled):
		r.Kind = kmsclient.ErrUnavailable
		r.Message = late(garbled) + line(fmt.Sprintf("HTTP status %d with an answer that is not KMS's: %v", status, garbled.Err))
	case errors.As(err, &missing):
		r.Kind, r.Message = kmsclient.ErrInvalidRequest, "no region is given"
	case status != 0:
		r.Kind, r.Message = byStatus(noCode, status), fmt.Sprintf("HTTP status %d", status)
	default: // nothing was sent
		r.Kind, r.Message = kmsclient.ErrInvalidRequest, line(err.Error())
	}
	return e, false
}

// late names a time-out, which the errors of the network put in many ways.
func late(err error) string {
	var t interface{ Timeout() bool }
	if errors.As(err, &t) && t.Timeout() {
		return "timed out: "
	}
	return ""
}

// maxMessage is how much of a text is repeated; those of AWS are shorter.
const maxMessage = 1000

// line is the first line of a text of others, without control characters. Further
// lines, where an answer about a signature has them, repeat the request that was
// signed, session token included.
func line(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > maxMessage {
		s = s[:maxMessage] + " …"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}
