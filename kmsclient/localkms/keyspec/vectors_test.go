package keyspec

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// ecMaterial is the material with a given scalar.
func ecMaterial(t *testing.T, s Spec, scalar []byte) []byte {
	t.Helper()
	r, _ := s.row()
	return encode(privateKeyInfo{Algorithm: r.pair.algorithm(), PrivateKey: encode(ecPrivateKey{Version: 1, PrivateKey: scalar})})
}

func ed25519Material(seed []byte) []byte {
	return encode(privateKeyInfo{Algorithm: id(oidEd25519, nil), PrivateKey: encode(seed)})
}

type ecdsaSignature struct{ R, S *big.Int }

// otherS is the other signature of the same message: s is n - s.
func otherS(t *testing.T, signature []byte) []byte {
	t.Helper()
	v, ok := decode[ecdsaSignature](signature)
	if !ok {
		t.Fatalf("%x is no ECDSA signature", signature)
	}
	v.S.Sub(secp256k1.Params().N, v.S)
	return encode(v)
}

// RFC 8032, section 7.1, tests 1 to 3.
func TestEd25519Vectors(t *testing.T) {
	for _, c := range []struct{ seed, public, message, signature string }{
		{
			"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
		},
		{
			"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
		},
		{
			"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
		},
	} {
		p := parse(t, Edwards25519, ed25519Material(unhex(t, c.seed)))
		if der := p.Public().DER(); !bytes.HasSuffix(der, unhex(t, c.public)) {
			t.Errorf("public key %x", der)
		}
		signature, err := p.Sign(Ed25519SHA512, Raw, unhex(t, c.message))
		if err != nil || !bytes.Equal(signature, unhex(t, c.signature)) {
			t.Errorf("signature %x, %v", signature, err)
		}
	}
}

// RFC 6979, sections A.2.5 to A.2.7, message "sample": other people's signatures.
func TestECDSAVectors(t *testing.T) {
	for _, c := range []struct {
		spec            Spec
		alg             Algorithm
		scalar, x, r, s string
	}{
		{
			NISTP256, ECDSASHA256, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
			"60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
			"efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
		},
		{
			NISTP384, ECDSASHA384, "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
			"ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
			"94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46", "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
		},
		{
			NISTP521, ECDSASHA512, "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
			"01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
			"00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa", "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
		},
	} {
		p := parse(t, c.spec, ecMaterial(t, c.spec, unhex(t, c.scalar)))
		if der := p.Public().DER(); !bytes.Contains(der, unhex(t, c.x)) {
			t.Errorf("%s: public key %x", c.spec, der)
		}
		signature := encode(ecdsaSignature{new(big.Int).SetBytes(unhex(t, c.r)), new(big.Int).SetBytes(unhex(t, c.s))})
		if err := p.Public().Verify(c.alg, Raw, []byte("sample"), signature); err != nil {
			t.Errorf("%s: %v", c.spec, err)
		}
	}
}

// The signature over secp256k1 that many implementations test with.
func TestSecp256k1Signature(t *testing.T) {
	p := parse(t, SECGP256K1, ecMaterial(t, SECGP256K1, append(make([]byte, 31), 1)))
	want := encode(ecdsaSignature{
		new(big.Int).SetBytes(unhex(t, "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8")),
		new(big.Int).SetBytes(unhex(t, "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5")),
	})
	if got, err := p.Sign(ECDSASHA256, Raw, []byte("Satoshi Nakamoto")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
}

// The object identifiers, spelled as bytes.
func TestAlgorithmIdentifiers(t *testing.T) {
	const ec = "06072a8648ce3d0201"
	for s, want := range map[Spec]string{
		RSA2048: "06092a864886f70d0101010500", NISTP256: ec + "06082a8648ce3d030107", NISTP384: ec + "06052b81040022",
		NISTP521: ec + "06052b81040023", SECGP256K1: ec + "06052b8104000a", Edwards25519: "06032b6570",
		MLDSA44: "0609608648016503040311", MLDSA65: "0609608648016503040312", MLDSA87: "0609608648016503040313",
	} {
		body := unhex(t, want)
		r, _ := s.row()
		if got := encode(r.pair.algorithm()); !slices.Equal(got, encode(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})) {
			t.Errorf("%s: %x", s, got)
		}
	}
}
