package awskms

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	// idleConns is how many connections are kept for the next request: as many as
	// the walkers of a cipher directory may have workers.
	idleConns = 256
	// maxAnswer is more than KMS can have to say: a blob of 6144 bytes and a
	// plaintext of 4096, in base64, with names.
	maxAnswer = 64 << 10
)

// baseHTTP is the client for everything but KMS itself, such as STS, which the
// SDK completes with the configured CA bundle.
func (o Options) baseHTTP() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithTimeout(o.Timeout).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = o.ConnectTimeout }).
		WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = o.ConnectTimeout })
}

// newHTTP makes the client for KMS from the one the configuration came with. It
// follows no redirect: KMS sends none, and a request holds plaintext.
func newHTTP(cfg aws.Config, o Options) *http.Client {
	base, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		base = o.baseHTTP()
	}
	t := base.GetTransport()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = idleConns, idleConns
	return &http.Client{
		Transport:     bounded{t},
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded is a transport whose answers may not be longer than maxAnswer.
type bounded struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	// The SDK closes the body of a request as soon as the answer begins. The
	// transport may then not have asked yet whether more of it comes, and WriteTo of
	// a closed body, unlike Read, is an error: it would cut the connection.
	if r.Body != nil {
		r = r.WithContext(r.Context()) // a copy
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	resp, err := b.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = fmt.Errorf("it is longer than %d bytes", maxAnswer)

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// checkEndpoint refuses to send data keys in clear over a network, wherever the
// endpoint was configured; "" is AWS's own.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("the KMS endpoint is not a URL") // err would repeat a password in it
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("the KMS endpoint %s would get data keys in clear: want https://, or a loopback address", u.Redacted())
	}
	return fmt.Errorf("the KMS endpoint %s: want https://", u.Redacted())
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
