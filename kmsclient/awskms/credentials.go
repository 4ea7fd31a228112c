package awskms

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"kmsfs/kmsclient"
)

// chain gives the credentials of the SDK's usual chain: environment, profile,
// web identity, container or EC2 role. Sources that tell when their credentials
// end are asked again by the SDK before that. Temporary credentials in a profile
// do not tell: after AWS has refused them, renew reads the configuration again,
// which a mount that lives for months needs.
type chain struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	renewing sync.Mutex // held by the one who renews; taken before mu

	mu         sync.Mutex // guards what follows; not held while a source is asked
	source     aws.CredentialsProvider
	loaded     time.Time
	generation int  // counts sources
	worked     bool // there were credentials once
}

const (
	// firstPatience is how long a machine that may have no metadata service is
	// asked for a role. The SDK would take 5 s, and again at every call.
	firstPatience = 2 * time.Second
	// renewPause is the least time between readings of the configuration, so that
	// credentials that AWS has refused for good do not cost one for each call.
	renewPause = 5 * time.Second
)

// Retrieve implements aws.CredentialsProvider. Its errors are credentialsErrors,
// but where ctx ended.
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	source, worked := c.source, c.worked
	c.mu.Unlock()
	fromMachine := asksMachine(source)
	limited := ctx
	if fromMachine && !worked {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, firstPatience)
		defer cancel()
	}
	creds, err := source.Retrieve(limited)
	switch {
	case err == nil:
		c.mu.Lock()
		c.worked = true
		c.mu.Unlock()
		return creds, nil
	case ctx.Err() != nil:
		return creds, &smithy.CanceledError{Err: ctx.Err()}
	}
	return creds, &credentialsError{err: err, worked: worked, fromMachine: fromMachine}
}

// asksMachine reports whether a source is the EC2 metadata service, which is where
// the SDK turns when nothing at all is configured.
func asksMachine(source aws.CredentialsProvider) bool {
	s, ok := source.(aws.CredentialProviderSource)
	if !ok {
		return false
	}
	path := s.ProviderSources()
	return len(path) > 0 && path[len(path)-1] == aws.CredentialSourceIMDS
}

// current is the generation of the credentials that the next Retrieve gives, or
// an earlier one.
func (c *chain) current() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// renew reads the configuration again after AWS refused the credentials of a
// generation. It reports whether there are others now.
func (c *chain) renew(ctx context.Context, refused int) bool {
	c.renewing.Lock()
	defer c.renewing.Unlock()
	c.mu.Lock()
	old, generation, recent := c.source, c.generation, time.Since(c.loaded) < renewPause
	if !recent {
		c.loaded = time.Now()
	}
	c.mu.Unlock()
	if generation != refused || recent {
		return generation != refused // somebody was faster, or had no luck
	}
	source, err := c.load(ctx)
	if err != nil {
		return false
	}
	before, err1 := old.Retrieve(ctx)
	after, err2 := source.Retrieve(ctx)
	if err1 != nil || err2 != nil || sameKeys(before, after) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = source
	c.generation++
	return true
}

func sameKeys(a, b aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken
}

// credentialsError says that a request could not be signed.
type credentialsError struct {
	err         error
	worked      bool // there were credentials before
	fromMachine bool // only the machine's role was left to ask
}

func (e *credentialsError) Error() string {
	if e.none() {
		return "no credentials: neither the environment nor the AWS profile has any, and the machine gives no role"
	}
	return fmt.Sprintf("no credentials: %v", e.err)
}

func (e *credentialsError) Unwrap() error { return e.err }

// none: nothing is configured, and this is no EC2 instance with a role.
func (e *credentialsError) none() bool { return e.fromMachine && !e.worked }

// kind: an operator must act (ErrDenied) where nothing is configured or the
// source refuses; a source out of reach, or one that gave credentials before,
// may give them again (ErrUnavailable).
func (e *credentialsError) kind() error {
	var said smithy.APIError
	var answer interface{ HTTPStatusCode() int }
	var sending *smithyhttp.RequestSendError
	switch {
	case e.none():
		return kmsclient.ErrDenied
	case errors.As(e.err, &said) && errors.As(e.err, &answer):
		kind := kindOf(said.ErrorCode(), "", answer.HTTPStatusCode())
		if kind == kmsclient.ErrThrottled || kind == kmsclient.ErrUnavailable {
			return kind
		}
		return kmsclient.ErrDenied
	case errors.As(e.err, &sending), e.worked:
		return kmsclient.ErrUnavailable
	}
	return kmsclient.ErrDenied
}
