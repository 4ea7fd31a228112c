package keyspec

import (
	"bytes"
	"testing"
	"testing/quick"
)

// A public key has one encoding, and whatever is accepted as one can be used
// without a panic.
func FuzzParsePublic(f *testing.F) {
	for _, s := range pairs() {
		der := private(f, s).Public().DER()
		f.Add(der)
		f.Add(der[:len(der)-1])
	}
	own := private(f, NISTP256)
	f.Fuzz(func(t *testing.T, der []byte) {
		p, err := ParsePublic(der)
		if err != nil {
			if p != nil || err != ErrPublicKey {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		if again := p.DER(); !bytes.Equal(again, der) {
			t.Errorf("%x prints as %x", der, again)
		}
		for _, alg := range p.Spec().Algorithms(SignVerify) {
			for _, size := range []int{256, 2420} { // of RSA_2048 and ML_DSA_44
				if err := p.Verify(alg, Raw, []byte("m"), make([]byte, size)); err == nil {
					t.Errorf("zeros are a signature by %x", der)
				}
			}
		}
		for _, alg := range p.Spec().Algorithms(EncryptDecrypt) {
			if _, err := p.Encrypt(alg, []byte("m")); err != nil {
				t.Errorf("%x does not encrypt: %v", der, err)
			}
		}
		if _, err := own.DeriveSharedSecret(ECDH, der); (err == nil) != (p.Spec() == NISTP256) {
			t.Errorf("ECDH with %x: %v", der, err)
		}
	})
}

// Material has one canonical encoding, which comes back; material that is
// accepted signs what its public key verifies.
func FuzzParsePrivate(f *testing.F) {
	for i, s := range Specs() {
		if s == RSA3072 || s == RSA4096 {
			continue // slow, and the code is that of RSA2048
		}
		m := material(f, s)
		f.Add(uint8(i), m)
		f.Add(uint8(i), m[:len(m)-1])
		if s.Asymmetric() {
			info, _ := decode[privateKeyInfo](m)
			info.Attributes.FullBytes = []byte{0xa0, 0}
			f.Add(uint8(i), encode(info))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, m []byte) {
		s := Specs()[int(n)%len(Specs())]
		before := bytes.Clone(m)
		p, err := ParsePrivate(s, m)
		if !bytes.Equal(m, before) {
			t.Fatal("the input was changed")
		}
		checked := CheckMaterial(s, m)
		if err != nil {
			if err != ErrMaterial || checked != ErrMaterial || p != nil {
				t.Fatalf("%v, %v, %v", p, err, checked)
			}
			return
		}
		canonical := p.Bytes()
		again, err := ParsePrivate(s, canonical)
		if err != nil || !bytes.Equal(again.Bytes(), canonical) || len(canonical) > len(m) {
			t.Fatalf("%x has the canonical form %x, %v", m, canonical, err)
		}
		if checked != nil {
			return
		}
		for _, alg := range s.Algorithms(SignVerify) {
			types := messageTypes(p, alg, []byte("message"))
			for mt, in := range types {
				signature, err := p.Sign(alg, mt, in)
				if err != nil || verifySigned(again.Public(), alg, mt, types, signature) != nil {
					t.Errorf("%x signs %x, %v", m, signature, err)
				}
			}
		}
	})
}

// What unwraps is what was wrapped. The key is fixed, because each process that
// fuzzes would generate its own.
func FuzzUnwrapImport(f *testing.F) {
	algs := []Algorithm{OAEPSHA1, OAEPSHA256, RSAAESKeyWrapSHA1, RSAAESKeyWrapSHA256}
	var wrapping *Private
	for _, g := range readWycheproof(f, "rsa_oaep_2048_sha1_mgf1sha1") {
		wrapping = parse(f, RSA2048, g.PrivateKeyPKCS8)
	}
	m := bytes.Repeat([]byte{2}, 32) // and the AES key, which RSAES unwraps from the first half
	for i, alg := range algs {
		w := wrap(f, alg, wrapping.Public(), m, m)
		f.Add(uint8(i), w)
		f.Add(uint8(i), w[:256])
	}
	f.Fuzz(func(t *testing.T, n uint8, wrapped []byte) {
		got, err := UnwrapImport(algs[int(n)%len(algs)], wrapping, wrapped)
		if err == nil && !bytes.Equal(got, m) || err != nil && (err != ErrDecrypt || got != nil) {
			t.Errorf("%x unwraps to %x, %v", wrapped, got, err)
		}
	})
}

// What decode accepts, encode prints, for the structures of this package.
func TestDecodeIsStrict(t *testing.T) {
	if err := quick.Check(func(version int, octets []byte, extra byte) bool {
		der := encode(ecPrivateKey{Version: version, PrivateKey: octets})
		_, ok := decode[ecPrivateKey](der)
		_, longer := decode[ecPrivateKey](append(der, extra))
		return ok && !longer
	}, nil); err != nil {
		t.Error(err)
	}
}
