package localkms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"kmsfs/kmsclient"
)

var accessKeyPattern = regexp.MustCompile(`^A[KS]IA[A-Z2-7]{16}$`)

// credentials keeps the secrets of access keys that have been used, in the clear,
// so that a request costs no query and no decryption before its signature is
// known to be right.
type credentials struct {
	mu   sync.Mutex
	byID map[string]credential // guarded by mu; at most maxCached

	// misses is held while the database is asked for a key that is not there, so
	// that a flood of unknown keys takes up one connection. Taken before mu.
	misses sync.Mutex
}

type credential struct{ user, secret string }

func (c *credentials) get(id string) (credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.byID[id]
	return known, ok
}

func (c *credentials) put(id string, known credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxCached {
		c.byID = map[string]credential{}
	}
	c.byID[id] = known
}

// Authenticate finds the secret that a request by an access key must be signed
// with, and who that is then. For a session it takes the session's token, else "".
// Refusals are *kmsclient.Error: UnrecognizedClientException for a key or token
// that is none, ExpiredTokenException for a session that is over.
//
// It is for every request, and makes no transaction. So it may let an access key
// pass that has just been deleted or made inactive, and a session whose role has
// been deleted: the transaction of the operation itself refuses these, provided
// that Caller has principal and access key id. Authenticate alone lets nobody in.
func (s *Store) Authenticate(ctx context.Context, accessKeyID, sessionToken string) (secret string, p Principal, err error) {
	session := strings.HasPrefix(accessKeyID, "ASIA")
	switch {
	case s.locked:
		return "", p, errLocked
	case !accessKeyPattern.MatchString(accessKeyID), !session && sessionToken != "":
		return "", p, errUnknownToken()
	case session:
		p, ok := s.root.openSessionToken(accessKeyID, sessionToken)
		switch {
		case !ok:
			return "", p, errUnknownToken()
		case s.now().UnixMilli() >= p.expires:
			return "", Principal{}, errExpiredToken()
		}
		return s.root.sessionSecret(accessKeyID), p, nil
	}
	known, ok := s.credentials.get(accessKeyID)
	if !ok {
		if known, err = s.readCredential(ctx, accessKeyID); err != nil {
			return "", p, err
		}
	}
	return known.secret, Principal{kind: kindUser, name: known.user}, nil
}

// readCredential reads an active access key.
func (s *Store) readCredential(ctx context.Context, id string) (known credential, err error) {
	c := &s.credentials
	c.misses.Lock()
	defer c.misses.Unlock()
	if known, ok := c.get(id); ok { // another request was waiting for the same
		return known, nil
	}
	var sealed []byte
	err = s.db.QueryRowContext(ctx, "SELECT user, sealed FROM access_key WHERE id = ? AND active", id).Scan(&known.user, &sealed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return known, errUnknownToken()
	case ctx.Err() != nil:
		return known, kmsclient.Interrupted(ctx.Err())
	case err != nil:
		return known, fmt.Errorf("%w: %w", kmsclient.ErrUnavailable, damaged(err))
	}
	if known.secret, err = s.root.openSecret(id, known.user, sealed); err != nil {
		return known, fmt.Errorf("%w: %w", kmsclient.ErrUnavailable, err)
	}
	c.put(id, known)
	return known, nil
}

func errExpiredToken() *kmsclient.Error {
	return refuse("ExpiredTokenException", "The security token included in the request is expired")
}
