package kmsserver

import (
	"context"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// NewEngine puts the protocol in front of an embedded KMS. Whoever opened the
// store closes it.
func NewEngine(store *localkms.Store) Engine { return localEngine{store} }

type localEngine struct{ store *localkms.Store }

func (e localEngine) Authenticate(ctx context.Context, accessKeyID, session string) (Credentials, error) {
	secret, principal, err := e.store.Authenticate(ctx, accessKeyID, session)
	return Credentials{Secret: secret, Principal: principal}, err
}

func (e localEngine) Call(ctx context.Context, c Caller, op string, body []byte) ([]byte, error) {
	return e.store.ClientFor(caller(c)).Call(ctx, op, body)
}

func (e localEngine) Refused(ctx context.Context, c Caller, op string, err *kmsclient.Error) {
	e.store.RefusedRequest(ctx, caller(c), op, err)
}

// caller is the caller as the store takes it: nobody if nothing is proven.
func caller(c Caller) localkms.Caller {
	principal, _ := c.Principal.(localkms.Principal)
	out := localkms.Caller{
		Principal: principal, Region: c.Region, AccessKeyID: c.AccessKeyID,
		SourceIP: c.SourceIP, UserAgent: c.UserAgent, RequestID: c.RequestID,
	}
	if c.TLS != nil {
		out.TLS = &localkms.TLSDetails{
			TLSVersion: c.TLS.Version, CipherSuite: c.TLS.CipherSuite, ClientProvidedHostHeader: c.TLS.ClientProvidedHostHeader,
		}
	}
	return out
}
