package kmsserver

import (
	"encoding/json"
	"net/http"

	"kmsfs/kmsclient"
)

// Error names that the front knows, besides those of package sigv4.
const (
	codeUnrecognized     = "UnrecognizedClientException"
	codeExpired          = "ExpiredTokenException"
	codeInternal         = "KMSInternalException"
	codeUnknownOperation = "UnknownOperationException"
	codeMalformed        = "MalformedHttpRequestException"
	codeTooLarge         = "RequestEntityTooLargeException"
	codeTimeout          = "RequestTimeoutException"
	codeAborted          = "RequestAbortedException"
)

// authTexts are AWS's texts for what the engine says of an access key.
var authTexts = map[string]string{
	codeUnrecognized: "The security token included in the request is invalid.",
	codeExpired:      "The security token included in the request is expired",
}

// status is the HTTP status of an error name. AWS KMS answers 400 to whatever is
// the client's fault, an unknown operation included.
func status(code string) int {
	switch code {
	case codeInternal, "KeyUnavailableException", "DependencyTimeoutException":
		return http.StatusInternalServerError
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeTimeout:
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

func internal() *kmsclient.Error {
	return &kmsclient.Error{Kind: kmsclient.ErrUnavailable, Code: codeInternal}
}

func malformedRequest(code, message string) *kmsclient.Error {
	return &kmsclient.Error{Kind: kmsclient.ErrInvalidRequest, Code: code, Message: message}
}

// encodeError gives the body of an error answer. An empty message is left out.
func encodeError(err *kmsclient.Error) []byte {
	b, _ := json.Marshal(struct { // two strings: cannot fail
		Type    string `json:"__type"`
		Message string `json:"message,omitempty"`
	}{err.Code, err.Message})
	return b
}
