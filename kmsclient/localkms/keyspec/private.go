package keyspec

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"sync"
)

// family generates, reads and prints the key pairs of related specs. What it
// reads and prints is the inside of the structures of der.go: the octets of the
// PrivateKey and the bits of the PublicKey. A signer that it is given is one that
// it made.
type family interface {
	algorithm() algorithmIdentifier
	generate() (crypto.Signer, error)
	parsePrivate(octets []byte) (crypto.Signer, bool)
	printPrivate(crypto.Signer) []byte
	parsePublic(bits []byte) (crypto.PublicKey, bool)
	printPublic(crypto.PublicKey) []byte
	wipe(crypto.Signer)
}

// Private is the parsed material of a CMK. Parsing an RSA key costs as much as
// validating it, so a caller that uses a key again keeps the Private. It may be
// used by several goroutines at once, Wipe excepted.
type Private struct {
	row *row
	raw []byte        // symmetric and HMAC keys
	key crypto.Signer // key pairs

	ecdh func() (*ecdh.PrivateKey, error) // of NIST curves, computed once
}

// Generate makes new material of a spec. RSA takes long, up to seconds, and a
// time that varies; all others take one or two milliseconds at most. The caller
// owns the slice, and should clear it.
func Generate(spec Spec) ([]byte, error) {
	r, ok := spec.row()
	if !ok {
		return nil, ErrSpec
	}
	if r.pair == nil {
		raw := make([]byte, r.size)
		rand.Read(raw)
		return raw, nil
	}
	key, err := r.pair.generate()
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", spec, err)
	}
	p := &Private{row: r, key: key}
	defer p.Wipe()
	return p.Bytes(), nil
}

// ParsePrivate reads material of a spec. It does not keep the slice. Material
// that is not of this spec, or not consistent with itself, is ErrMaterial.
func ParsePrivate(spec Spec, material []byte) (*Private, error) {
	r, ok := spec.row()
	if !ok {
		return nil, ErrSpec
	}
	if r.pair == nil {
		if len(material) != r.size {
			return nil, ErrMaterial
		}
		return &Private{row: r, raw: slices.Clone(material)}, nil
	}
	info, ok := decode[privateKeyInfo](material)
	defer clear(info.PrivateKey)
	if !ok || info.Version < 0 || info.Version > 1 || !info.Algorithm.equal(r.pair.algorithm()) {
		return nil, ErrMaterial
	}
	key, ok := r.pair.parsePrivate(info.PrivateKey)
	if !ok {
		return nil, ErrMaterial
	}
	p := &Private{row: r, key: key}
	if key, ok := key.(*ecdsa.PrivateKey); ok {
		p.ecdh = sync.OnceValues(key.ECDH)
	}
	if pub := info.PublicKey; pub.Bytes != nil && !sameBits(pub, r.pair.printPublic(key.Public())) {
		p.Wipe()
		return nil, ErrMaterial
	}
	return p, nil
}

// CheckMaterial is the check of imported material: what ParsePrivate checks, and
// that the factors of an RSA modulus are two primes of half its length. Material
// that says the same in another way (attributes, a copy of the public key) is
// accepted, so what a store keeps and compares is ParsePrivate's Bytes.
func CheckMaterial(spec Spec, material []byte) error {
	p, err := ParsePrivate(spec, material)
	if err != nil {
		return err
	}
	defer p.Wipe()
	if key, ok := p.key.(*rsa.PrivateKey); ok {
		for _, prime := range key.Primes {
			if 2*prime.BitLen() != key.N.BitLen() || !prime.ProbablyPrime(20) {
				return ErrMaterial
			}
		}
	}
	return nil
}

// Spec is the spec the material was parsed as.
func (p *Private) Spec() Spec { return p.row.spec }

// Bytes prints the material in its one canonical form, as Generate gives it. The
// caller owns the slice, and should clear it.
func (p *Private) Bytes() []byte {
	if p.key == nil {
		return slices.Clone(p.raw)
	}
	octets := p.row.pair.printPrivate(p.key)
	defer clear(octets)
	return encode(privateKeyInfo{Algorithm: p.row.pair.algorithm(), PrivateKey: octets})
}

// Public is the public half of a key pair; nil for symmetric and HMAC keys, and
// after Wipe.
func (p *Private) Public() *Public {
	if p.key == nil {
		return nil
	}
	return &Public{row: p.row, key: p.key.Public()}
}

// Wipe clears the secret bytes, as far as Go lets it (see the package comment).
// Afterwards every operation fails with ErrMaterial. No other method may run at
// the same time.
func (p *Private) Wipe() {
	clear(p.raw)
	if p.key != nil {
		p.row.pair.wipe(p.key)
	}
	p.raw, p.key, p.ecdh = nil, nil, nil
}

// PublicKey is the DER of the public half of a key pair, as GetPublicKey and
// GenerateDataKeyPair answer it. Symmetric and HMAC keys have none: ErrSpec.
func PublicKey(spec Spec, material []byte) ([]byte, error) {
	if spec.Known() && !spec.Asymmetric() {
		return nil, ErrSpec
	}
	p, err := ParsePrivate(spec, material)
	if err != nil {
		return nil, err
	}
	defer p.Wipe()
	return p.Public().DER(), nil
}
