// Package sigv4 verifies AWS Signature Version 4 on incoming HTTP requests.
//
// Accepted is the form that the AWS SDKs and the CLI send to KMS: an
// Authorization header with AWS4-HMAC-SHA256 over the whole body. Refused are
// signatures in the query string (presigned URLs), unsigned and streaming
// bodies, other algorithms, and times more than five minutes away.
//
// Signed must be the host, every X-Amz-* header of the request (date, target,
// session token), and the body. Other headers, Content-Type among them, are
// covered where the client lists them; a server that acts on one must accept a
// single value of it. A request can be repeated by whoever saw it, within the
// five minutes: the protocol has no nonce, TLS is what keeps it from being seen.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MaxSkew is how far the time of a signature may be from that of the server.
const MaxSkew = 5 * time.Minute

const (
	algorithm = "AWS4-HMAC-SHA256"
	scopeEnd  = "aws4_request"
	// Bounds on what is looked at before a signature is known to be good. The
	// rest of the work is linear in the size of the request's head.
	maxAuthorization = 8 << 10
	maxSignedHeaders = 100
)

// Verifier verifies requests to one service. Several goroutines may use it.
type Verifier struct {
	service string
	keys    keyCache
}

// NewVerifier makes a verifier for a service, "kms".
func NewVerifier(service string) *Verifier {
	return &Verifier{service: service, keys: keyCache{max: 1024}}
}

// Signature is what a request claims: nothing of it is proven before Verify.
type Signature struct {
	AccessKeyID   string
	Date          string // of the credential scope, "20150830"
	Region        string
	Service       string
	SignedHeaders []string // lower case, ascending
	SessionToken  string   // X-Amz-Security-Token, or ""
	Time          time.Time

	mac     [sha256.Size]byte
	request *http.Request
	v       *Verifier
}

// Parse reads the signature of a request and checks everything that needs
// neither secret nor body, in AWS's order: form, time, signed headers,
// algorithm, scope. The request must stay as it is until Verify. Errors are
// *Error.
func (v *Verifier) Parse(r *http.Request, now time.Time) (*Signature, error) {
	alg, params, err := authorization(r)
	if err != nil {
		return nil, err
	}
	s := &Signature{request: r, v: v}
	if s.Time, err = requestTime(r.Header); err != nil {
		return nil, err
	}
	if err := checkTime(s.Time, now); err != nil {
		return nil, err
	}
	if s.SignedHeaders, err = signedHeaders(params.signedHeaders); err != nil {
		return nil, err
	}
	if err := s.checkSigned(); err != nil {
		return nil, err
	}
	if alg != algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': '%.32s' (only %s for now).", alg, algorithm)
	}
	scope := strings.Split(params.credential, "/")
	if len(scope) != 5 {
		return nil, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	s.AccessKeyID, s.Date, s.Region, s.Service = scope[0], scope[1], scope[2], scope[3]
	if err := s.checkScope(v.service, scope[4]); err != nil {
		return nil, err
	}
	if s.SessionToken, err = single(r.Header, "X-Amz-Security-Token"); err != nil {
		return nil, err
	}
	sum, err := single(r.Header, "X-Amz-Content-Sha256")
	if err != nil {
		return nil, err
	}
	if sum != "" && len(sum) != hex.EncodedLen(sha256.Size) {
		return nil, invalid("The x-amz-content-sha256 header must be the SHA-256 of the body: unsigned and streaming payloads are not accepted.")
	}
	mac, err := hex.DecodeString(params.signature)
	if err != nil || len(mac) != sha256.Size || hex.EncodeToString(mac) != params.signature {
		return nil, mismatch()
	}
	s.mac = [sha256.Size]byte(mac)
	return s, nil
}

// Verify checks that whoever signed the request, body included, had the secret
// of its access key. Errors are *Error.
func (s *Signature) Verify(secret string, body []byte) error {
	sum := sha256.Sum256(body)
	var hexSum [2 * sha256.Size]byte
	hex.Encode(hexSum[:], sum[:])
	if claimed := s.request.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != string(hexSum[:]) {
		return invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	var space [1536]byte
	canonical := appendCanonical(space[:0], s.request, s.SignedHeaders, hexSum[:])
	digest := sha256.Sum256(canonical)

	toSign := make([]byte, 0, 192)
	toSign = append(toSign, algorithm+"\n"...)
	toSign = s.Time.AppendFormat(toSign, timeFormat)
	toSign = append(toSign, '\n')
	for _, part := range []string{s.Date, s.Region, s.Service} {
		toSign = append(append(toSign, part...), '/')
	}
	toSign = append(toSign, scopeEnd+"\n"...)
	toSign = hex.AppendEncode(toSign, digest[:])

	id := keyID{sha256.Sum256([]byte(secret)), s.Date, s.Region}
	key, cached := s.v.keys.get(id)
	if !cached {
		key = signingKey(secret, s.Date, s.Region, s.Service)
	}
	if !hmac.Equal(mac(key[:], toSign), s.mac[:]) {
		return mismatch()
	}
	if !cached { // only now: a forger's regions must not push good keys out
		s.v.keys.add(id, key)
	}
	return nil
}

// checkSigned demands that the host and all X-Amz-* headers are signed.
func (s *Signature) checkSigned() error {
	if !s.signs("host") {
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	unsigned := ""
	for name := range s.request.Header {
		const prefix = "X-Amz-"
		if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) || s.signs(name) {
			continue
		}
		if unsigned == "" || name < unsigned { // the first one: map order is random
			unsigned = name
		}
	}
	if unsigned != "" {
		return invalid("'%.64s' must be a 'SignedHeader' in the AWS Authorization.", unsigned)
	}
	return nil
}

func (s *Signature) signs(name string) bool {
	_, ok := slices.BinarySearch(s.SignedHeaders, strings.ToLower(name))
	return ok
}
