package unlock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"kmsfs/kmsclient"
)

// contextKey is the one key of the encryption context of a wrapped root key.
const contextKey = "kmsfs:kms-store"

// KMS keeps the root key wrapped by a key of another KMS.
type KMS struct {
	URI string // which KMS; kept in the file as it is, and passed to Open
	Key string // id, ARN or alias of a CMK there; the file keeps its canonical id
	// Open opens the KMS that URI names. Each KMS it returns is closed.
	Open func(ctx context.Context, uri string) (kmsclient.KMS, error)
}

func (m KMS) seal(ctx context.Context, root *[32]byte) (*Sealed, error) {
	if err := checkLine("KMS URI", m.URI); err != nil {
		return nil, err
	}
	s := &Sealed{Kind: KindKMS, URI: m.URI, id: make([]byte, idSize)}
	rand.Read(s.id)
	kms, err := s.open(ctx, m.Open)
	if err != nil {
		return nil, err
	}
	defer kms.Close()
	w, err := kms.Encrypt(ctx, m.Key, root[:], s.context())
	if err != nil {
		return nil, err
	}
	s.Key, s.sealed = w.KeyID, w.Blob
	return s, s.verify(ctx, root, Secrets{KMS: m.Open})
}

// openKMS puts the root key in root.
func (s *Sealed) openKMS(ctx context.Context, secrets Secrets, root *[32]byte) error {
	kms, err := s.open(ctx, secrets.KMS)
	if err != nil {
		return err
	}
	defer kms.Close()
	key, w, err := kms.Decrypt(ctx, s.sealed, s.context())
	defer clear(key)
	switch {
	case err != nil:
		return err
	case w.KeyID != s.Key:
		return fmt.Errorf("%w: names key %s, and %s opens it", ErrDamaged, s.Key, w.KeyID)
	case len(key) != len(root):
		return fmt.Errorf("%w: the KMS gives %d bytes", ErrDamaged, len(key))
	}
	copy(root[:], key)
	return nil
}

func (s *Sealed) open(ctx context.Context, f func(context.Context, string) (kmsclient.KMS, error)) (kmsclient.KMS, error) {
	if f == nil {
		return nil, fmt.Errorf("%w: no way to reach KMS %s", ErrNoSecret, s.URI)
	}
	kms, err := f(ctx, s.URI)
	if err != nil {
		return nil, fmt.Errorf("open KMS %s: %w", s.URI, err)
	}
	return kms, nil
}

func (s *Sealed) context() kmsclient.EncryptionContext {
	return kmsclient.EncryptionContext{contextKey: hex.EncodeToString(s.id)}
}
