package keyspec

import "crypto"

// Public is a parsed public key. It may be used by several goroutines at once.
type Public struct {
	row *row
	key crypto.PublicKey
}

// ParsePublic reads a SubjectPublicKeyInfo in DER and finds out its spec.
// Anything else is ErrPublicKey: another kind of key, another curve or length, a
// point that is not on its curve, compressed, or at infinity, curve parameters
// instead of a curve's name, trailing bytes. It does not keep the slice.
func ParsePublic(der []byte) (*Public, error) {
	info, ok := decode[publicKeyInfo](der)
	if !ok || info.PublicKey.BitLength%8 != 0 {
		return nil, ErrPublicKey
	}
	for i, r := range table {
		if r.pair == nil || !r.pair.algorithm().equal(info.Algorithm) {
			continue
		}
		if key, ok := r.pair.parsePublic(info.PublicKey.Bytes); ok {
			return &Public{row: &table[i], key: key}, nil
		}
	}
	return nil, ErrPublicKey
}

// Spec is the spec of the key pair.
func (p *Public) Spec() Spec { return p.row.spec }

// DER prints the key as a SubjectPublicKeyInfo: what ParsePublic accepts. The
// caller owns the slice.
func (p *Public) DER() []byte {
	return encode(publicKeyInfo{p.row.pair.algorithm(), bitString(p.row.pair.printPublic(p.key))})
}
