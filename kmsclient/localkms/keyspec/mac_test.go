package keyspec

import (
	"bytes"
	"slices"
	"testing"
)

func TestMAC(t *testing.T) {
	size := map[Spec]int{HMAC224: 28, HMAC256: 32, HMAC384: 48, HMAC512: 64}
	for _, s := range Specs() {
		p := private(t, s)
		for _, alg := range []Algorithm{HMACSHA224, HMACSHA256, HMACSHA384, HMACSHA512, ECDSASHA256, AES256GCM, ""} {
			mac, err := p.GenerateMAC(alg, []byte("message"))
			if !slices.Contains(s.Algorithms(GenerateVerifyMAC), alg) {
				if err != ErrAlgorithm || p.VerifyMAC(alg, nil, nil) != ErrAlgorithm {
					t.Errorf("%s %s: %v", s, alg, err)
				}
				continue
			}
			if err != nil || len(mac) != size[s] {
				t.Errorf("%s %s: %x, %v", s, alg, mac, err)
				continue
			}
			if err := p.VerifyMAC(alg, []byte("message"), mac); err != nil {
				t.Errorf("%s %s: %v", s, alg, err)
			}
			if err := p.VerifyMAC(alg, []byte("messagf"), mac); err != ErrMAC {
				t.Errorf("%s %s, another message: %v", s, alg, err)
			}
			for _, bad := range [][]byte{nil, mac[:16], mac[:len(mac)-1], append(slices.Clone(mac), 0), flip(mac, 0), flip(mac, len(mac)-1)} {
				if err := p.VerifyMAC(alg, []byte("message"), bad); err != ErrMAC {
					t.Errorf("%s %s, MAC %x: %v", s, alg, bad, err)
				}
			}
		}
	}
}

// RFC 4231, test case 1. Its key of 20 bytes, filled up with zeros, is a key of
// any of the specs: HMAC itself fills up with zeros.
func TestMACVectors(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		alg  Algorithm
		want string
	}{
		{HMAC224, HMACSHA224, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"},
		{HMAC256, HMACSHA256, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{HMAC384, HMACSHA384, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
		{HMAC512, HMACSHA512, "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
	} {
		key := append(bytes.Repeat([]byte{0x0b}, 20), make([]byte, 44)...)
		mac, err := parse(t, c.spec, key[:len(material(t, c.spec))]).GenerateMAC(c.alg, []byte("Hi There"))
		if err != nil || !bytes.Equal(mac, unhex(t, c.want)) {
			t.Errorf("%s: %x, %v", c.spec, mac, err)
		}
	}
}
