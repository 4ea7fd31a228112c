package kmsserver

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmsserver/sigv4"
)

const contentType = "application/x-amz-json-1.1"

// exchange is one request under way.
type exchange struct {
	*Server
	r      *http.Request
	caller Caller
}

// run takes the request through all checks to the engine. A panic on the way is
// logged and answered, and the server lives.
func (x *exchange) run() (answer []byte, err *kmsclient.Error) {
	defer func() {
		if p := recover(); p != nil {
			x.log.panicked(x, p)
			answer, err = nil, internal()
		}
	}()
	if err := checkForm(x.r); err != nil {
		x.log.report(malformed, x, err)
		return nil, err
	}
	signature, e := x.verifier.Parse(x.r, x.now())
	if e != nil {
		return nil, x.refuse(e)
	}
	x.caller.AccessKeyID, x.caller.Region = signature.AccessKeyID, signature.Region
	credentials, e := x.engine.Authenticate(x.r.Context(), signature.AccessKeyID, signature.SessionToken)
	if e == nil && credentials.Secret == "" { // anybody can sign with that
		e = errors.New("access key without a secret")
	}
	if e != nil {
		return nil, x.refuse(e)
	}
	body, err := x.readBody(x.r)
	if err != nil {
		x.log.report(malformed, x, err)
		return nil, err
	}
	if e := signature.Verify(credentials.Secret, body); e != nil {
		err = x.refuse(e)
	} else {
		x.caller.Principal = credentials.Principal
		answer, err = x.authenticated(body)
	}
	x.recycle(body) // not after a panic: the engine might still use it
	return answer, err
}

// authenticated finds the operation, the place in the engine, and the answer.
func (x *exchange) authenticated(body []byte) ([]byte, *kmsclient.Error) {
	op := operation(x.r.Header)
	if op == "" || !isJSON(x.r.Header) {
		return nil, x.refuse(&kmsclient.Error{
			Kind: kmsclient.ErrInvalidRequest, Code: codeUnknownOperation,
			Message: "The request needs Content-Type " + contentType + " and X-Amz-Target TrentService.Operation.",
		})
	}
	select {
	case x.slots <- struct{}{}:
		defer func() { <-x.slots }()
	default:
		return nil, x.throttle("in flight")
	}
	if !x.limiter.AllowN(x.now(), 1) {
		return nil, x.throttle("rate")
	}
	answer, err := x.engine.Call(x.r.Context(), x.caller, op, body)
	if err != nil {
		return nil, x.failure(op, err)
	}
	return answer, nil
}

// refuse gives the answer to a request that does not become a call, and tells the
// engine, unless the engine itself is what failed.
func (x *exchange) refuse(cause error) *kmsclient.Error {
	op := operation(x.r.Header)
	var s *sigv4.Error
	if errors.As(cause, &s) {
		cause = &kmsclient.Error{Kind: kmsclient.ErrDenied, Code: s.Code, Message: s.Message}
	}
	err := x.failure(op, cause)
	if status(err.Code) < http.StatusInternalServerError {
		x.log.report(refused, x, err)
		x.engine.Refused(x.r.Context(), x.caller, op, err)
	}
	return err
}

func (x *exchange) throttle(limit string) *kmsclient.Error {
	err := &kmsclient.Error{Kind: kmsclient.ErrThrottled, Code: "ThrottlingException",
		Message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."}
	x.log.report(throttled, x, err, "limit", limit)
	return err
}

// failure turns what the engine gave into what the client gets. It copies: the
// error may be one that the engine keeps.
func (x *exchange) failure(op string, cause error) *kmsclient.Error {
	var e *kmsclient.Error
	if !errors.As(cause, &e) || e.Code == "" {
		e = internal()
	}
	err := *e
	err.Op = op
	if err.Message == "" {
		err.Message = authTexts[err.Code]
	}
	// Nobody waits for the answer to a cancelled request, so it is no failure.
	if status(err.Code) >= http.StatusInternalServerError && !errors.Is(x.r.Context().Err(), context.Canceled) {
		x.log.report(failed, x, &err, "op", op, "error", cause.Error())
	}
	return &err
}

// checkForm refuses what is no request of this protocol, before anything else.
func checkForm(r *http.Request) *kmsclient.Error {
	switch encoding := r.Header.Get("Content-Encoding"); {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		return malformedRequest(codeUnknownOperation, "The only request is POST /.")
	case encoding != "" && encoding != "identity" || len(r.Header["Content-Encoding"]) > 1:
		return malformedRequest(codeMalformed, "Content-Encoding is not supported.")
	case r.ContentLength > maxBody:
		return malformedRequest(codeTooLarge, "")
	}
	return nil
}

// operation is the target's, or "": 1 to 64 letters and digits.
func operation(h http.Header) string {
	target := h["X-Amz-Target"]
	if len(target) != 1 {
		return ""
	}
	op, ok := strings.CutPrefix(target[0], "TrentService.")
	if !ok || len(op) > 64 || strings.ContainsFunc(op, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	}) {
		return ""
	}
	return op
}

// isJSON wants the one content type, with or without parameters.
func isJSON(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) != 1 {
		return false
	}
	media, _, _ := strings.Cut(values[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), contentType)
}
