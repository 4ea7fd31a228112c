// Package awskms is a kmsclient.KMS over the API of AWS KMS: AWS itself, or
// whatever speaks its API at another endpoint.
//
// Credentials, region, endpoint and CA bundle come from where all AWS tools have
// them, the environment and the files below ~/.aws; Options override them.
// Requests to KMS are the five of the interface: no key is made or changed.
//
// Plaintext that the caller does not get is wiped. The SDK's own buffers, in which
// requests and answers stand in base64, are beyond reach and live until they are
// used again or collected.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/
package awskms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"kmsfs/kmsclient"
)

// Options say which KMS, and how patiently. Zero fields stand for the defaults.
type Options struct {
	Region   string // default: as the AWS configuration says
	Endpoint string // URL; default: as the AWS configuration says, or else AWS's own
	Version  string // of kmsfs, for the User-Agent header

	Attempts       int           // attempts of a call in all; default AWS_MAX_ATTEMPTS, or else 5
	ConnectTimeout time.Duration // for a connection, and again for TLS; default 5s
	Timeout        time.Duration // for a whole attempt, connecting included; default 10s

	// Rate limits the attempts a second of all goroutines together, with Burst in a
	// row after a rest, so that other users of the account's quota are left some.
	// Default 100 and as many in a row; a negative Rate is no limit.
	Rate  float64
	Burst int
}

// Client is a kmsclient.KMS. Several goroutines may use it. Its errors are *Error.
type Client struct {
	api    *kms.Client
	http   *http.Client
	region string
}

var _ kmsclient.KMS = (*Client)(nil)

// New makes a Client. It reads the AWS configuration but asks nobody: wrong or
// missing credentials show in the first call.
func New(ctx context.Context, o Options) (*Client, error) {
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	load := func(ctx context.Context) (aws.Config, error) {
		return config.LoadDefaultConfig(ctx,
			config.WithRegion(o.Region),
			config.WithHTTPClient(o.baseHTTP()),
			// Nothing of requests and answers may end in a log.
			config.WithClientLogMode(0), config.WithLogger(logging.Nop{}),
		)
	}
	cfg, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("AWS configuration: no region is given")
	}
	creds := &chain{source: cfg.Credentials, loaded: time.Now(), load: func(ctx context.Context) (aws.CredentialsProvider, error) {
		cfg, err := load(ctx)
		return cfg.Credentials, err
	}}
	c := newClient(cfg, creds, newHTTP(cfg, o), o)
	if err := checkEndpoint(aws.ToString(c.api.Options().BaseEndpoint)); err != nil {
		return nil, err
	}
	return c, nil
}

// newClient puts a Client together.
func newClient(cfg aws.Config, creds *chain, client *http.Client, o Options) *Client {
	limit := rate.NewLimiter(rate.Inf, 0)
	if o.Rate >= 0 {
		perSecond := cmp.Or(o.Rate, 100)
		limit = rate.NewLimiter(rate.Limit(perSecond), max(1, cmp.Or(o.Burst, int(perSecond))))
	}
	api := kms.NewFromConfig(cfg, func(ko *kms.Options) {
		ko.RetryMaxAttempts = cmp.Or(o.Attempts, ko.RetryMaxAttempts, 5)
		ko.Retryer = newRetryer(ko.RetryMaxAttempts)
		ko.HTTPClient = client
		ko.Credentials = creds
		if o.Endpoint != "" {
			ko.BaseEndpoint = &o.Endpoint
		}
		ko.APIOptions = append(ko.APIOptions,
			awsmiddleware.AddUserAgentKeyValue("kmsfs", cmp.Or(o.Version, "devel")),
			func(s *middleware.Stack) error {
				return s.Finalize.Insert(&attempt{limit, creds}, "Retry", middleware.After)
			})
	})
	return &Client{api: api, http: client, region: cfg.Region}
}

// Region is the region in use, whoever chose it.
func (c *Client) Region() string { return c.region }

// Close implements kmsclient.KMS: it closes the connections that are idle.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
