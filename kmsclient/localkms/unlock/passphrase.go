package unlock

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/crypto/argon2"
)

// MaxPassphrase is the greatest length of a passphrase in bytes.
const MaxPassphrase = 1024

// Cost says how much work Argon2id is, for the owner and for who guesses.
//
// Source: RFC 9106, sections 3.1 and 4.
type Cost struct {
	Time    uint32 // passes over the memory: 1 to 32
	Memory  uint32 // in KiB: 65536 (64 MiB) to 2097152 (2 GiB)
	Threads uint8  // lanes, and threads used: 1 to 16
}

// DefaultCost is the second recommendation of RFC 9106, section 4, with four
// times its memory. Where that is too much, 65536 KiB are the recommendation.
func DefaultCost() Cost { return Cost{Time: 3, Memory: 256 << 10, Threads: 4} }

// Limits of Cost, for writers and readers: what a file asks for is spent before
// anything is known of its origin.
const (
	maxTime    = 32
	minMemory  = 64 << 10
	maxMemory  = 2 << 20
	maxThreads = 16
	minWork    = 3 * minMemory // time × memory
)

func (c Cost) check() error {
	switch {
	case c.Time < 1 || c.Time > maxTime:
		return fmt.Errorf("%d passes of Argon2id are not between 1 and %d", c.Time, maxTime)
	case c.Memory < minMemory || c.Memory > maxMemory:
		return fmt.Errorf("%d KiB for Argon2id are not between %d and %d", c.Memory, minMemory, maxMemory)
	case c.Threads < 1 || c.Threads > maxThreads:
		return fmt.Errorf("%d threads for Argon2id are not between 1 and %d", c.Threads, maxThreads)
	case uint64(c.Time)*uint64(c.Memory) < minWork:
		return fmt.Errorf("%d passes of Argon2id over %d KiB are too little work", c.Time, c.Memory)
	}
	return nil
}

// Passphrase keeps the root key sealed under a passphrase. How good it must be is
// for the caller to say.
type Passphrase struct {
	// Ask gives the passphrase. It is called once; the slice it returns is wiped.
	Ask func() ([]byte, error)
	// Cost of one guess; zero stands for DefaultCost.
	Cost Cost
}

func (m Passphrase) seal(ctx context.Context, root *[32]byte) (*Sealed, error) {
	s := &Sealed{Kind: KindPassphrase, Cost: m.Cost, salt: make([]byte, saltSize)}
	if s.Cost == (Cost{}) {
		s.Cost = DefaultCost()
	}
	if err := s.Cost.check(); err != nil {
		return nil, err
	}
	p, err := ask(ctx, m.Ask)
	defer clear(p)
	if err != nil {
		return nil, err
	}
	rand.Read(s.salt)
	key, commitment := s.Cost.derive(p, s.salt)
	defer clear(key)
	s.commitment = commitment
	s.sealed = gcm(key).Seal(nil, nil, root[:], s.head())
	again := func() ([]byte, error) { return bytes.Clone(p), nil }
	return s, s.verify(ctx, root, Secrets{Passphrase: again})
}

// openPassphrase puts the root key in root, or leaves nothing of it there. Where
// the commitment is right and the tag is not, the passphrase is right and the
// file is not. A commitment binds a file to one passphrase; the tag alone would
// let a crafted file open with several.
func (s *Sealed) openPassphrase(ctx context.Context, secrets Secrets, root *[32]byte) error {
	p, err := ask(ctx, secrets.Passphrase)
	defer clear(p)
	if err != nil {
		return err
	}
	key, commitment := s.Cost.derive(p, s.salt)
	defer clear(key)
	if subtle.ConstantTimeCompare(commitment, s.commitment) != 1 {
		return ErrPassphrase
	}
	if _, err := gcm(key).Open(root[:0], nil, s.sealed, s.head()); err != nil {
		return ErrDamaged
	}
	return nil
}

// ask gets a usable passphrase, as long as it is worth having one. The caller
// wipes what comes back, even beside an error.
func ask(ctx context.Context, f func() ([]byte, error)) ([]byte, error) {
	if fips140.Enforced() {
		return nil, fmt.Errorf("%w: Argon2id is not an algorithm of FIPS 140-3", errors.ErrUnsupported)
	}
	if f == nil {
		return nil, fmt.Errorf("%w: nobody to ask for the passphrase", ErrNoSecret)
	}
	p, err := f()
	if err != nil {
		return p, fmt.Errorf("passphrase: %w", err)
	}
	if err := checkPassphrase(p); err != nil {
		return p, err
	}
	return p, ctx.Err()
}

func checkPassphrase(p []byte) error {
	switch {
	case len(p) == 0:
		return fmt.Errorf("%w: it is empty", ErrUnusable)
	case len(p) > MaxPassphrase:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrUnusable, MaxPassphrase)
	case bytes.ContainsAny(p, "\x00\n"):
		return fmt.Errorf("%w: it contains a NUL or a line feed", ErrUnusable)
	}
	return nil
}

// derive makes sealing key and commitment. The memory Argon2id worked in goes
// back to the system, which clears it before anyone else sees it.
func (c Cost) derive(passphrase, salt []byte) (key, commitment []byte) {
	out := argon2.IDKey(passphrase, salt, c.Time, c.Memory, c.Threads, 32+commitmentSize)
	debug.FreeOSMemory()
	return out[:32:32], out[32:]
}

// gcm is AES-256-GCM that draws its own nonce and puts it first.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a key of the wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}
