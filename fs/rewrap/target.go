package rewrap

import (
	"context"
	"errors"
	"fmt"

	"kmsfs/envelope"
	"kmsfs/kmsclient"
)

// target is the CMK, with its current key material, under which everything is to
// be wrapped.
type target struct {
	KeyID    string // canonical
	Material [32]byte
	tag      [16]byte
}

// resolve asks the KMS what key means now: ErrDisabled and the like where it
// cannot wrap.
func resolve(ctx context.Context, kms kmsclient.KMS, key string) (target, error) {
	info, err := kms.DescribeKey(ctx, key)
	if err != nil {
		return target{}, err
	}
	refusal := &kmsclient.Error{Op: "DescribeKey", KeyID: info.KeyID, Message: "the target of a rewrap must be enabled, it is " + string(info.State)}
	switch info.State {
	case kmsclient.StateEnabled:
		if info.KeyID == "" {
			refusal.Kind, refusal.Message = kmsclient.ErrUnavailable, "the KMS did not say which key this is"
			return target{}, refusal
		}
		return target{info.KeyID, info.CurrentMaterial, kmsclient.KeyTag(info.KeyID)}, nil
	case kmsclient.StatePendingDeletion:
		refusal.Kind = kmsclient.ErrPendingDeletion
	case kmsclient.StateDisabled:
		refusal.Kind = kmsclient.ErrDisabled
	default:
		refusal.Kind = kmsclient.ErrUnavailable
	}
	return target{}, refusal
}

// has reports whether something wrapped by a CMK and a key material is where it
// should be. Where the KMS does not name its current material, the CMK decides.
func (t *target) has(tag [16]byte, material [32]byte) bool {
	return tag == t.tag && (t.Material == [32]byte{} || material == t.Material)
}

// reencrypt moves a blob to the target and checks the answer: a KMS that names
// another key than the one asked for is not believed, and one that has rotated
// the key meanwhile ends the run (ErrRotated). Refusals and outages match
// errStop; a blob that the KMS does not accept does not.
func (t *target) reencrypt(ctx context.Context, kms kmsclient.KMS, blob []byte, ec map[string]string) (kmsclient.Wrapped, error) {
	w, err := kms.ReEncrypt(ctx, blob, ec, t.KeyID)
	switch {
	case errors.Is(err, kmsclient.ErrInvalidCiphertext), errors.Is(err, kmsclient.ErrInvalidRequest):
		return w, err
	case err != nil:
		return w, fmt.Errorf("%w: %w", errStop, err)
	case w.KeyID != t.KeyID:
		return w, fmt.Errorf("%w: asked the KMS to wrap under %s, it answers with %q", errStop, t.KeyID, w.KeyID)
	case len(w.Blob) == 0 || len(w.Blob) > envelope.MaxBlob:
		return w, fmt.Errorf("%w: the KMS answers with a blob of %d bytes", errStop, len(w.Blob))
	case w.Material.IsZero():
		// The provider names the material in DescribeKey only.
		w.Material = t.Material
	case t.Material != [32]byte{} && w.Material != t.Material:
		return w, fmt.Errorf("%w: %w: %s", errStop, ErrRotated, t.KeyID)
	}
	return w, nil
}

// choice says which recipients of a header or of the names key are replaced.
type choice struct {
	to       target
	from     *[16]byte // nil: not restricted
	provider byte
}

// pick gives the index of each recipient to replace: with a From, those under
// that CMK; without, the first of the provider, so that a recovery recipient
// behind it stays what it is. None if all is current.
func (c *choice) pick(n int, recipient func(int) (provider byte, tag [16]byte, material [32]byte)) (idx []int) {
	for i := range n {
		provider, tag, material := recipient(i)
		if provider != c.provider || c.from != nil && tag != *c.from {
			continue
		}
		if !c.to.has(tag, material) {
			idx = append(idx, i)
		}
		if c.from == nil {
			break
		}
	}
	return idx
}

// header picks among the recipients of a header.
func (c *choice) header(h *envelope.Header) []int {
	return c.pick(len(h.Recipients), func(i int) (byte, [16]byte, [32]byte) {
		r := &h.Recipients[i]
		return r.Provider, r.KeyTag, r.Material
	})
}

// config picks among the recipients of the names key.
func (c *choice) config(cfg *envelope.Config) []int {
	return c.pick(len(cfg.Recipients), func(i int) (byte, [16]byte, [32]byte) {
		r := &cfg.Recipients[i]
		return r.Provider, kmsclient.KeyTag(r.KeyID), r.Material
	})
}
