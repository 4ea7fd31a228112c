package keyspec

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"
)

func TestGenerate(t *testing.T) {
	raw := map[Spec]int{SymmetricDefault: 32, HMAC224: 28, HMAC256: 32, HMAC384: 48, HMAC512: 64}
	for _, s := range Specs() {
		m := material(t, s)
		p := parse(t, s, m)
		if p.Spec() != s || !bytes.Equal(p.Bytes(), m) {
			t.Errorf("%s material does not print as it was generated", s)
		}
		if err := CheckMaterial(s, m); err != nil {
			t.Errorf("%s: generated material: %v", s, err)
		}
		der, err := PublicKey(s, m)
		if !s.Asymmetric() {
			if len(m) != raw[s] || p.Public() != nil || err != ErrSpec {
				t.Errorf("%s: %d bytes, public key %v, %v", s, len(m), p.Public(), err)
			}
			continue
		}
		if err != nil || !bytes.Equal(der, p.Public().DER()) {
			t.Errorf("%s: public key %x, %v", s, der, err)
		}
		if pub, err := ParsePublic(der); err != nil || pub.Spec() != s || !bytes.Equal(pub.DER(), der) {
			t.Errorf("%s: public key does not come back: %v", s, err)
		}
		for _, other := range pairs() {
			if _, err := ParsePrivate(other, m); other != s && err != ErrMaterial {
				t.Errorf("%s material taken for %s: %v", s, other, err)
			}
		}
	}
	// RSA is left out because of its time; its randomness is not ours.
	for _, s := range slices.DeleteFunc(Specs(), func(s Spec) bool { return s == RSA2048 || s == RSA3072 || s == RSA4096 }) {
		if again, err := Generate(s); err != nil || bytes.Equal(again, material(t, s)) {
			t.Errorf("%s: generated the same twice, %v", s, err)
		}
	}
}

// crypto/x509 knows some of the specs, and prints them byte for byte like this
// package.
func TestEncodingsAreThoseOfX509(t *testing.T) {
	for _, s := range []Spec{RSA2048, RSA3072, RSA4096, NISTP256, NISTP384, NISTP521, Edwards25519} {
		m := material(t, s)
		key, err := x509.ParsePKCS8PrivateKey(m)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if again, err := x509.MarshalPKCS8PrivateKey(key); err != nil || !bytes.Equal(again, m) {
			t.Errorf("%s: crypto/x509 prints another private key, %v", s, err)
		}
		der := parse(t, s, m).Public().DER()
		public, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if again, err := x509.MarshalPKIXPublicKey(public); err != nil || !bytes.Equal(again, der) {
			t.Errorf("%s: crypto/x509 prints another public key, %v", s, err)
		}
	}
}

func TestRawMaterialHasOneLength(t *testing.T) {
	for _, s := range []Spec{SymmetricDefault, HMAC224, HMAC256, HMAC384, HMAC512} {
		n := len(material(t, s))
		for _, size := range []int{0, 1, n - 1, n + 1, 2 * n} {
			if err := CheckMaterial(s, make([]byte, size)); err != ErrMaterial {
				t.Errorf("%s of %d bytes: %v", s, size, err)
			}
		}
	}
}

// Nothing may be cut off, put at the end, or put inside of any of the nested
// structures.
func TestMaterialIsReadStrictly(t *testing.T) {
	for _, s := range pairs() {
		m := material(t, s)
		info, ok := decode[privateKeyInfo](m)
		if !ok {
			t.Fatalf("%s does not decode", s)
		}
		for name, edit := range map[string]func(i *privateKeyInfo){
			"version 2":          func(i *privateKeyInfo) { i.Version = 2 },
			"version -1":         func(i *privateKeyInfo) { i.Version = -1 },
			"no octets":          func(i *privateKeyInfo) { i.PrivateKey = nil },
			"octets cut":         func(i *privateKeyInfo) { i.PrivateKey = i.PrivateKey[:len(i.PrivateKey)-1] },
			"octets after":       func(i *privateKeyInfo) { i.PrivateKey = append(slices.Clone(i.PrivateKey), 5, 0) },
			"another parameter":  func(i *privateKeyInfo) { i.Algorithm.Parameters.FullBytes = []byte{2, 1, 1} },
			"another public key": func(i *privateKeyInfo) { i.Version, i.PublicKey = 1, asn1.BitString{Bytes: []byte{4}, BitLength: 8} },
		} {
			edited := info
			edit(&edited)
			if _, err := ParsePrivate(s, encode(edited)); err != ErrMaterial {
				t.Errorf("%s, %s: %v", s, name, err)
			}
		}
		for name, bad := range map[string][]byte{
			"nothing":            nil,
			"cut":                m[:len(m)-1],
			"a byte after":       append(slices.Clone(m), 0),
			"indefinite length":  slices.Concat([]byte{0x30, 0x80}, contents(t, m), []byte{0, 0}),
			"length not minimal": slices.Concat([]byte{0x30, 0x84, 0, 0, byte(len(contents(t, m)) >> 8), byte(len(contents(t, m)))}, contents(t, m)),
			"an element more":    encode(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(slices.Clone(contents(t, m)), 5, 0)}),
			"the public key":     parse(t, s, m).Public().DER(),
		} {
			if _, err := ParsePrivate(s, bad); err != ErrMaterial {
				t.Errorf("%s, %s: %v", s, name, err)
			}
		}
	}
}

func contents(t *testing.T, der []byte) []byte {
	var v asn1.RawValue
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		t.Fatal(err)
	}
	return v.Bytes
}

// Attributes, and the public key of version 1, are what others may print.
func TestMaterialInOtherWords(t *testing.T) {
	for _, s := range pairs() {
		m := material(t, s)
		p := parse(t, s, m)
		pub, _ := decode[publicKeyInfo](p.Public().DER())
		info, _ := decode[privateKeyInfo](m)
		info.Version, info.PublicKey = 1, pub.PublicKey
		info.Attributes.FullBytes = []byte{0xa0, 0}
		verbose := encode(info)
		if err := CheckMaterial(s, verbose); err != nil {
			t.Errorf("%s with attributes and public key: %v", s, err)
			continue
		}
		if again := parse(t, s, verbose).Bytes(); !bytes.Equal(again, m) {
			t.Errorf("%s with attributes and public key has another canonical form", s)
		}
	}
}

func TestECPrivateKeyVariants(t *testing.T) {
	for _, s := range []Spec{NISTP256, NISTP384, NISTP521, SECGP256K1} {
		var m []byte
		var info privateKeyInfo
		var key ecPrivateKey
		for { // until the last bit of the public key is zero
			var err error
			if m, err = Generate(s); err != nil {
				t.Fatal(err)
			}
			info, _ = decode[privateKeyInfo](m)
			key, _ = decode[ecPrivateKey](info.PrivateKey)
			if key.PublicKey.At(key.PublicKey.BitLength-1) == 0 {
				break
			}
		}
		var curve asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve); err != nil {
			t.Fatal(err)
		}
		size := len(key.PrivateKey)
		order := elliptic.P256().Params().N
		if s == SECGP256K1 {
			order, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
		} else if f, ok := generatedFamily(s).(nistFamily); ok {
			order = f.curve.Params().N
		}
		for _, c := range []struct {
			name string
			ok   bool
			edit func(*ecPrivateKey)
		}{
			{"as it was", true, func(*ecPrivateKey) {}},
			{"curve named", true, func(k *ecPrivateKey) { k.NamedCurve = curve }},
			{"no public key", true, func(k *ecPrivateKey) { k.PublicKey = asn1.BitString{} }},
			{"another curve named", false, func(k *ecPrivateKey) { k.NamedCurve = asn1.ObjectIdentifier{1, 3, 132, 0, 33} }},
			{"another public key", false, func(k *ecPrivateKey) { k.PublicKey.Bytes = flip(k.PublicKey.Bytes, 5) }},
			{"public key cut", false, func(k *ecPrivateKey) { k.PublicKey.BitLength -= 8; k.PublicKey.Bytes = k.PublicKey.Bytes[1:] }},
			{"a bit of the public key unused", false, func(k *ecPrivateKey) { k.PublicKey.BitLength-- }},
			{"public key of no bits", false, func(k *ecPrivateKey) { k.PublicKey = asn1.BitString{Bytes: []byte{}} }},
			{"version 0", false, func(k *ecPrivateKey) { k.Version = 0 }},
			{"zero", false, func(k *ecPrivateKey) { k.PrivateKey = make([]byte, size); k.PublicKey = asn1.BitString{} }},
			{"the order", false, func(k *ecPrivateKey) {
				k.PrivateKey = order.FillBytes(make([]byte, size))
				k.PublicKey = asn1.BitString{}
			}},
			{"all bits", false, func(k *ecPrivateKey) { k.PrivateKey = bytes.Repeat([]byte{255}, size); k.PublicKey = asn1.BitString{} }},
			{"no scalar", false, func(k *ecPrivateKey) { k.PrivateKey = nil; k.PublicKey = asn1.BitString{} }},
			{"a zero before", false, func(k *ecPrivateKey) { k.PrivateKey = append([]byte{0}, k.PrivateKey...) }},
			{"a byte short", false, func(k *ecPrivateKey) { k.PrivateKey = k.PrivateKey[1:]; k.PublicKey = asn1.BitString{} }},
		} {
			edited := key
			c.edit(&edited)
			info.PrivateKey = encode(edited)
			p, err := ParsePrivate(s, encode(info))
			if c.ok && (err != nil || !bytes.Equal(p.Bytes(), m)) || !c.ok && err != ErrMaterial {
				t.Errorf("%s, %s: %v", s, c.name, err)
			}
			// The public key can be said outside too.
			outside := info
			outside.Version, outside.PrivateKey, outside.PublicKey = 1, encode(key), edited.PublicKey
			if _, err := ParsePrivate(s, encode(outside)); (err == nil) != (edited.PublicKey.Bytes == nil || sameBits(edited.PublicKey, key.PublicKey.Bytes)) {
				t.Errorf("%s, %s, outside: %v", s, c.name, err)
			}
		}
	}
}

func generatedFamily(s Spec) family {
	r, _ := s.row()
	return r.pair
}

// Keys that crypto/x509 can print and that are none of ours.
func TestForeignKeysAreNoMaterial(t *testing.T) {
	print := func(key any, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, der := range map[string][]byte{
		"RSA of 2056 bits": print(rsa.GenerateKey(rand.Reader, 2056)),
		"RSA of 1024 bits": print(rsa.GenerateKey(rand.Reader, 1024)),
		"P-224":            print(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)),
		"X25519":           print(ecdh.X25519().GenerateKey(rand.Reader)),
	} {
		for _, s := range pairs() {
			if err := CheckMaterial(s, der); err != ErrMaterial {
				t.Errorf("%s taken for %s: %v", name, s, err)
			}
		}
	}
}

func TestWipe(t *testing.T) {
	for _, s := range Specs() {
		p := private(t, s)
		key, raw := p.key, p.raw
		public := p.Public()
		p.Wipe()
		p.Wipe()
		var err error
		switch {
		case s == SymmetricDefault:
			err = ErrMaterial // it has no operation here
		case !s.Asymmetric():
			_, err = p.GenerateMAC(s.Algorithms(GenerateVerifyMAC)[0], nil)
		default:
			alg := s.Algorithms(SignVerify)[0]
			_, err = p.Sign(alg, Raw, nil)
			if p.Public() != nil || !bytes.Equal(public.DER(), private(t, s).Public().DER()) {
				t.Errorf("%s: wiping changed a public key given out before", s)
			}
		}
		if err != ErrMaterial || len(p.Bytes()) != 0 {
			t.Errorf("%s: after Wipe: %v, material of %d bytes", s, err, len(p.Bytes()))
		}
		if !slices.Equal(raw, make([]byte, len(raw))) {
			t.Errorf("%s: bytes left", s)
		}
		switch k := key.(type) {
		case *rsa.PrivateKey:
			if slices.ContainsFunc(k.D.Bits(), func(w big.Word) bool { return w != 0 }) || slices.ContainsFunc(k.Primes[1].Bits(), func(w big.Word) bool { return w != 0 }) {
				t.Errorf("%s: numbers left", s)
			}
		case *secpKey:
			if !k.Key.IsZero() {
				t.Errorf("%s: scalar left", s)
			}
		}
		if _, err := p.Decrypt(OAEPSHA256, make([]byte, 256)); s == RSA2048 && err != ErrMaterial {
			t.Errorf("%s: Decrypt after Wipe: %v", s, err)
		}
		if _, err := p.DeriveSharedSecret(ECDH, private(t, NISTP256).Public().DER()); s == NISTP256 && err != ErrMaterial {
			t.Errorf("%s: DeriveSharedSecret after Wipe: %v", s, err)
		}
		if _, err := UnwrapImport(OAEPSHA256, p, make([]byte, 256)); s == RSA2048 && !errors.Is(err, ErrMaterial) {
			t.Errorf("%s: UnwrapImport after Wipe: %v", s, err)
		}
	}
}
