package keyspec

import (
	"crypto"
	"crypto/elliptic"
	_ "crypto/sha1"   // for crypto.Hash
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512" // for crypto.Hash
	"slices"

	"filippo.io/mldsa"
)

// row is what one key spec is and what a CMK of it can do.
type row struct {
	spec   Spec
	size   int    // of raw material, in bytes; 0 for key pairs
	pair   family // of key pairs; nil for raw material
	usages []usage
}

// usage is a permitted key usage, with the algorithms in the order in which
// AWS's KeyMetadata lists them.
type usage struct {
	usage      Usage
	algorithms []Algorithm
}

var (
	rsaUsages = []usage{
		{EncryptDecrypt, []Algorithm{OAEPSHA1, OAEPSHA256}},
		{SignVerify, []Algorithm{PKCS1SHA256, PKCS1SHA384, PKCS1SHA512, PSSSHA256, PSSSHA384, PSSSHA512}},
	}
	mldsaUsages = []usage{{SignVerify, []Algorithm{MLDSASHAKE256}}}
)

// table is the one place that says which specs there are.
//
// Sources: CreateKey in the API reference for the usages, the key spec
// reference of the developer guide for the algorithms, the examples of
// CreateKey and DescribeKey for the order of the lists.
var table = []row{
	{spec: SymmetricDefault, size: 32, usages: []usage{{EncryptDecrypt, []Algorithm{AES256GCM}}}},
	{spec: RSA2048, pair: rsaFamily{2048}, usages: rsaUsages},
	{spec: RSA3072, pair: rsaFamily{3072}, usages: rsaUsages},
	{spec: RSA4096, pair: rsaFamily{4096}, usages: rsaUsages},
	{spec: NISTP256, pair: nistFamily{elliptic.P256(), oidP256}, usages: nistUsages(ECDSASHA256)},
	{spec: NISTP384, pair: nistFamily{elliptic.P384(), oidP384}, usages: nistUsages(ECDSASHA384)},
	{spec: NISTP521, pair: nistFamily{elliptic.P521(), oidP521}, usages: nistUsages(ECDSASHA512)},
	{spec: SECGP256K1, pair: secpFamily{}, usages: []usage{{SignVerify, []Algorithm{ECDSASHA256}}}},
	{spec: Edwards25519, pair: edwardsFamily{}, usages: []usage{{SignVerify, []Algorithm{Ed25519SHA512, Ed25519PHSHA512}}}},
	{spec: HMAC224, size: 28, usages: []usage{{GenerateVerifyMAC, []Algorithm{HMACSHA224}}}},
	{spec: HMAC256, size: 32, usages: []usage{{GenerateVerifyMAC, []Algorithm{HMACSHA256}}}},
	{spec: HMAC384, size: 48, usages: []usage{{GenerateVerifyMAC, []Algorithm{HMACSHA384}}}},
	{spec: HMAC512, size: 64, usages: []usage{{GenerateVerifyMAC, []Algorithm{HMACSHA512}}}},
	{spec: MLDSA44, pair: mldsaFamily{mldsa.MLDSA44(), oidMLDSA44, 2560}, usages: mldsaUsages},
	{spec: MLDSA65, pair: mldsaFamily{mldsa.MLDSA65(), oidMLDSA65, 4032}, usages: mldsaUsages},
	{spec: MLDSA87, pair: mldsaFamily{mldsa.MLDSA87(), oidMLDSA87, 4896}, usages: mldsaUsages},
}

func nistUsages(ecdsa Algorithm) []usage {
	return []usage{{SignVerify, []Algorithm{ecdsa}}, {KeyAgreement, []Algorithm{ECDH}}}
}

// hashes are the hash functions of the algorithms that have one to choose.
var hashes = map[Algorithm]crypto.Hash{
	OAEPSHA1: crypto.SHA1, OAEPSHA256: crypto.SHA256,
	PKCS1SHA256: crypto.SHA256, PKCS1SHA384: crypto.SHA384, PKCS1SHA512: crypto.SHA512,
	PSSSHA256: crypto.SHA256, PSSSHA384: crypto.SHA384, PSSSHA512: crypto.SHA512,
	ECDSASHA256: crypto.SHA256, ECDSASHA384: crypto.SHA384, ECDSASHA512: crypto.SHA512,
	HMACSHA224: crypto.SHA224, HMACSHA256: crypto.SHA256, HMACSHA384: crypto.SHA384, HMACSHA512: crypto.SHA512,
}

func (s Spec) row() (*row, bool) {
	i := slices.IndexFunc(table, func(r row) bool { return r.spec == s })
	if i < 0 {
		return &row{}, false
	}
	return &table[i], true
}

// Specs lists the key specs there are. The caller owns the slice.
func Specs() []Spec {
	specs := make([]Spec, len(table))
	for i, r := range table {
		specs[i] = r.spec
	}
	return specs
}

// Known reports whether there is such a spec.
func (s Spec) Known() bool {
	_, ok := s.row()
	return ok
}

// Asymmetric reports whether the material of the spec is a key pair.
func (s Spec) Asymmetric() bool {
	r, _ := s.row()
	return r.pair != nil
}

// DataKeyPair reports whether GenerateDataKeyPair makes pairs of this spec: all
// that are asymmetric but ML-DSA.
func (s Spec) DataKeyPair() bool {
	r, _ := s.row()
	_, lattice := r.pair.(mldsaFamily)
	return r.pair != nil && !lattice
}

// Usages lists what a CMK of the spec may be created for; nil for an unknown
// spec. The caller owns the slice.
func (s Spec) Usages() []Usage {
	r, _ := s.row()
	var usages []Usage
	for _, u := range r.usages {
		usages = append(usages, u.usage)
	}
	return usages
}

// DefaultUsage is the usage that CreateKey takes when none is given. Only
// SYMMETRIC_DEFAULT, itself the default spec, has one: all others must be given
// their usage, HMAC too, although it has one only.
func (s Spec) DefaultUsage() (u Usage, ok bool) {
	return EncryptDecrypt, s == SymmetricDefault
}

// Algorithms lists what a CMK of this spec and usage does, in AWS's order; nil
// if the spec is unknown or has no such usage. By the usage, the list is
// EncryptionAlgorithms, SigningAlgorithms, MacAlgorithms or
// KeyAgreementAlgorithms of KeyMetadata. The caller owns the slice.
func (s Spec) Algorithms(u Usage) []Algorithm {
	r, _ := s.row()
	return slices.Clone(r.algorithms(u))
}

func (r *row) algorithms(u Usage) []Algorithm {
	for _, x := range r.usages {
		if x.usage == u {
			return x.algorithms
		}
	}
	return nil
}

// check is ErrAlgorithm unless a CMK of the spec and this usage does alg.
func (r *row) check(u Usage, alg Algorithm) error {
	if !slices.Contains(r.algorithms(u), alg) {
		return ErrAlgorithm
	}
	return nil
}
