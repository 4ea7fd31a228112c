// Package kmsserver speaks the wire protocol of AWS KMS (AWS JSON 1.1 over HTTP,
// Signature Version 4) in front of an Engine that holds the keys. The AWS SDKs
// and the CLI work with it unchanged.
//
// A request passes, in this order: form (method, path, encoding, size), signature
// and access key, body, target, rate; then it is a call of the engine. What fails
// is answered as AWS does: {"__type":"Code","message":"..."}, without the message
// where AWS has none (InvalidCiphertextException), and status 400; see status for
// the few others. Every answer has an x-amzn-RequestId. GET /ping is the only
// request that needs no signature; it answers "healthy".
//
// Bounds: a head of 32 KiB (net/http answers 431 beyond it), a body of 256 KiB,
// the timeouts in serve.go. Signatures are checked before a request counts against
// the limits on calls, so that strangers cannot use them up.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
package kmsserver

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmsserver/sigv4"
)

// Engine is the KMS behind the protocol. Several goroutines use it at once. A
// context ends when its client goes away. Errors that are a *kmsclient.Error with
// a Code go to the client with Code and Message; any other is logged, and answered
// as KMSInternalException without text.
type Engine interface {
	// Authenticate gives the secret of an access key and whom it belongs to.
	// session is the X-Amz-Security-Token, "" for long-term keys. Nothing is proven
	// at that point: the caller is only who it says once its signature verifies.
	// Errors: UnrecognizedClientException, ExpiredTokenException; an empty Message
	// stands for AWS's text.
	Authenticate(ctx context.Context, accessKeyID, session string) (Credentials, error)
	// Call runs an operation ("Encrypt") for an authenticated caller. body is the
	// JSON of the request, as it was sent, and is overwritten after Call returns.
	// The answer is JSON too, timestamps in epoch seconds, or empty; it belongs to
	// the server, which overwrites it when it is sent. An operation the engine does
	// not know is UnknownOperationException.
	Call(ctx context.Context, c Caller, op string, body []byte) (answer []byte, err error)
	// Refused is told of a request that never became a call, because of its
	// signature, access key or target. Unless Principal is set, nothing in c or op
	// is proven; AccessKeyID may even be a secret, put in the wrong place. Throttled
	// requests are not told: a record costs what the limit is to save.
	Refused(ctx context.Context, c Caller, op string, err *kmsclient.Error)
}

// Credentials are what an access key stands for.
type Credentials struct {
	Secret    string
	Principal any // opaque, passed on in Caller
}

// Caller says who asks, from where and how.
type Caller struct {
	Principal   any // of its Credentials; nil in Refused if the signature did not verify
	AccessKeyID string
	Region      string // of the credential scope
	SourceIP    string
	UserAgent   string // at most 1,024 bytes
	RequestID   string // of the answer, a UUID
	TLS         *TLS   // nil over plain HTTP
}

// TLS describes a connection, in the words of CloudTrail's tlsDetails.
type TLS struct {
	Version                  string // "TLSv1.3"
	CipherSuite              string // "TLS_AES_128_GCM_SHA256"
	ClientProvidedHostHeader string
}

// Options of a server. Zero fields stand for the defaults.
type Options struct {
	MaxInFlight int           // calls in the engine at once, further ones are throttled; default 256
	Rate        float64       // calls a second, further ones are throttled; default unlimited
	Drain       time.Duration // how long Serve waits for calls to finish when it is to stop; default 10s
	Log         *slog.Logger  // default slog.Default()
}

// Server is an http.Handler that answers as AWS KMS does.
type Server struct {
	engine   Engine
	verifier *sigv4.Verifier
	slots    chan struct{} // one for each call in the engine
	limiter  *rate.Limiter
	drain    time.Duration
	timeouts timeouts
	now      func() time.Time
	bodies   sync.Pool // of *[]byte, empty
	log      *logger
}

// New makes a server for an engine.
func New(engine Engine, o Options) *Server {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 256
	}
	limiter := rate.NewLimiter(rate.Inf, 0)
	if o.Rate > 0 {
		limiter = rate.NewLimiter(rate.Limit(o.Rate), max(1, int(o.Rate)))
	}
	if o.Drain <= 0 {
		o.Drain = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Server{
		engine:   engine,
		verifier: sigv4.NewVerifier("kms"),
		slots:    make(chan struct{}, o.MaxInFlight),
		limiter:  limiter,
		drain:    o.Drain,
		timeouts: defaultTimeouts,
		now:      time.Now,
		log:      newLogger(o.Log),
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == "/ping" {
		w.Header().Set("Content-Type", "text/plain")
		w.Write([]byte("healthy"))
		return
	}
	x := &exchange{Server: s, r: r, caller: newCaller(r)}
	answer, err := x.run()
	code := http.StatusOK
	if err != nil {
		code, answer = status(err.Code), encodeError(err)
	}
	send(w, x.caller.RequestID, code, answer)
	clear(answer) // may be a plaintext key
}
