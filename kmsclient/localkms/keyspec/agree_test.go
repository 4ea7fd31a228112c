package keyspec

import (
	"bytes"
	"encoding/asn1"
	"slices"
	"testing"
)

func TestDeriveSharedSecret(t *testing.T) {
	size := map[Spec]int{NISTP256: 32, NISTP384: 48, NISTP521: 66}
	for _, s := range Specs() {
		p := private(t, s)
		if !slices.Contains(s.Usages(), KeyAgreement) {
			if _, err := p.DeriveSharedSecret(ECDH, private(t, NISTP256).Public().DER()); err != ErrAlgorithm {
				t.Errorf("%s derives: %v", s, err)
			}
			continue
		}
		m, err := Generate(s)
		if err != nil {
			t.Fatal(err)
		}
		peer := parse(t, s, m)
		one, err := p.DeriveSharedSecret(ECDH, peer.Public().DER())
		if err != nil || len(one) != size[s] {
			t.Errorf("%s: %x, %v", s, one, err)
		}
		if two, err := peer.DeriveSharedSecret(ECDH, p.Public().DER()); err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s: the two sides have %x and %x, %v", s, one, two, err)
		}
		if _, err := p.DeriveSharedSecret(ECDSASHA256, peer.Public().DER()); err != ErrAlgorithm {
			t.Errorf("%s derives with another algorithm: %v", s, err)
		}
		for _, other := range pairs() {
			if _, err := p.DeriveSharedSecret(ECDH, private(t, other).Public().DER()); other != s && err != ErrPublicKey {
				t.Errorf("%s with a peer of %s: %v", s, other, err)
			}
		}
		if _, err := p.DeriveSharedSecret(ECDH, m); err != ErrPublicKey {
			t.Errorf("%s with a private key as peer: %v", s, err)
		}
	}
}

func TestPublicKeysAreReadStrictly(t *testing.T) {
	for _, s := range pairs() {
		der := private(t, s).Public().DER()
		info, _ := decode[publicKeyInfo](der)
		with := func(bits []byte) []byte {
			i := info
			i.PublicKey = bitString(bits)
			return encode(i)
		}
		bits := info.PublicKey.Bytes
		unused := info
		unused.PublicKey.BitLength--
		unused.PublicKey.Bytes = slices.Clone(bits)
		unused.PublicKey.Bytes[len(bits)-1] &^= 1
		parameters := info
		parameters.Algorithm.Parameters.FullBytes = []byte{2, 1, 1}
		for name, bad := range map[string][]byte{
			"nothing":           nil,
			"cut":               der[:len(der)-1],
			"a byte after":      append(slices.Clone(der), 0),
			"no bits":           with(nil),
			"a bit unused":      encode(unused),
			"bits cut":          with(bits[:len(bits)-1]),
			"bits after":        with(append(slices.Clone(bits), 0)),
			"other parameters":  encode(parameters),
			"an element more":   encode(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(contents(t, der), 5, 0)}),
			"indefinite length": slices.Concat([]byte{0x30, 0x80}, contents(t, der), []byte{0, 0}),
		} {
			if _, err := ParsePublic(bad); err != ErrPublicKey {
				t.Errorf("%s, %s: %v", s, name, err)
			}
		}
		if info.Algorithm.Algorithm.Equal(oidEC) {
			size := len(bits) / 2
			for name, bad := range map[string][]byte{
				"compressed": slices.Concat([]byte{2 + bits[2*size]&1}, bits[1:size+1]),
				"hybrid":     slices.Concat([]byte{6 + bits[2*size]&1}, bits[1:]),
				"infinity":   {0},
				"off curve":  flip(bits, 2*size),
				"zero":       append([]byte{4}, make([]byte, 2*size)...),
				"high bits":  append([]byte{4}, bytes.Repeat([]byte{255}, 2*size)...),
			} {
				if _, err := ParsePublic(with(bad)); err != ErrPublicKey {
					t.Errorf("%s, %s: %v", s, name, err)
				}
			}
		}
	}
}
