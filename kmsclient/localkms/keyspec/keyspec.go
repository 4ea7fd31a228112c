// Package keyspec knows what a CMK of each key spec can do: its usages and
// algorithms, its key generation, its encodings and its cryptography. It is
// pure: bytes in, bytes out. It holds no store and decides nothing about
// states, policies or who may ask.
//
// The names are those of the AWS KMS API. SM2, which AWS has in China only, is
// unknown here; SYMMETRIC_DEFAULT has only its material here, because a
// symmetric ciphertext blob is the business of the store that issues it.
//
// # Material
//
// Material is what a store seals: 32 random bytes for SYMMETRIC_DEFAULT, as
// many bytes as the MAC has for HMAC, and an unencrypted PKCS #8 structure in
// DER for key pairs (RFC 5958; RFC 8017 for RSA, RFC 5915 for curves, RFC 8410
// for Ed25519, RFC 9881 with the seed alone for ML-DSA). Public keys are
// SubjectPublicKeyInfo in DER (RFC 5280). Encodings are read strictly: what the
// structures do not provide for, trailing bytes and BER are refused, also where
// crypto/x509 would look past them.
//
// # What Private.Wipe cannot reach
//
// Wipe clears the bytes that this package and math/big let it reach. The
// standard library and the ML-DSA module keep copies of their own, and so may
// the collector's moves and the stack; those last until the memory is used
// again.
//
// # Signatures of an external μ
//
// The ML-DSA module signs a given μ of FIPS 204 and does not verify by one, so
// Verify with ExternalMu is ErrExternalMu. A signature made with ExternalMu is one
// of the message: it verifies with Raw and the message itself.
//
// # Timing
//
// The operations with secrets run in constant time as far as the standard
// library's and the ML-DSA module's do. The arithmetic of the module for secp256k1
// is not constant time: the time of a signature depends on its secret nonce, that
// of making or parsing a key on the private key. Checking imported RSA keys tests
// their factors with math/big, in variable time, once.
//
// # FIPS 140
//
// Tried with GODEBUG=fips140=only on Go 1.26:
//   - RSAES_OAEP_SHA_1 and RSA_AES_KEY_WRAP_SHA_1 fail: encryption with an error,
//     decryption and import with ErrDecrypt.
//   - Imported RSA keys with a public exponent below 65537 fail in every use,
//     with an error, ErrDecrypt or ErrSignature.
//   - Everything else works, which is not to say that it is approved: secp256k1,
//     ML-DSA and key unwrapping are done by modules outside the validated one,
//     which the setting does not see.
package keyspec

import "errors"

// Spec is a KeySpec of AWS's API.
type Spec string

// The key specs.
const (
	SymmetricDefault Spec = "SYMMETRIC_DEFAULT"
	RSA2048          Spec = "RSA_2048"
	RSA3072          Spec = "RSA_3072"
	RSA4096          Spec = "RSA_4096"
	NISTP256         Spec = "ECC_NIST_P256"
	NISTP384         Spec = "ECC_NIST_P384"
	NISTP521         Spec = "ECC_NIST_P521"
	SECGP256K1       Spec = "ECC_SECG_P256K1"
	Edwards25519     Spec = "ECC_NIST_EDWARDS25519"
	HMAC224          Spec = "HMAC_224"
	HMAC256          Spec = "HMAC_256"
	HMAC384          Spec = "HMAC_384"
	HMAC512          Spec = "HMAC_512"
	MLDSA44          Spec = "ML_DSA_44"
	MLDSA65          Spec = "ML_DSA_65"
	MLDSA87          Spec = "ML_DSA_87"
)

// Usage is a KeyUsage of AWS's API. A CMK has exactly one.
type Usage string

// The key usages.
const (
	EncryptDecrypt    Usage = "ENCRYPT_DECRYPT"
	SignVerify        Usage = "SIGN_VERIFY"
	GenerateVerifyMAC Usage = "GENERATE_VERIFY_MAC"
	KeyAgreement      Usage = "KEY_AGREEMENT"
)

// Algorithm is an EncryptionAlgorithmSpec, SigningAlgorithmSpec,
// MacAlgorithmSpec, KeyAgreementAlgorithmSpec or wrapping AlgorithmSpec of AWS's
// API: five lists that share one set of names.
type Algorithm string

// The algorithms. Those of RSAES also wrap imported material.
const (
	AES256GCM Algorithm = "SYMMETRIC_DEFAULT"

	OAEPSHA1            Algorithm = "RSAES_OAEP_SHA_1"
	OAEPSHA256          Algorithm = "RSAES_OAEP_SHA_256"
	RSAAESKeyWrapSHA1   Algorithm = "RSA_AES_KEY_WRAP_SHA_1"
	RSAAESKeyWrapSHA256 Algorithm = "RSA_AES_KEY_WRAP_SHA_256"

	PKCS1SHA256 Algorithm = "RSASSA_PKCS1_V1_5_SHA_256"
	PKCS1SHA384 Algorithm = "RSASSA_PKCS1_V1_5_SHA_384"
	PKCS1SHA512 Algorithm = "RSASSA_PKCS1_V1_5_SHA_512"
	PSSSHA256   Algorithm = "RSASSA_PSS_SHA_256"
	PSSSHA384   Algorithm = "RSASSA_PSS_SHA_384"
	PSSSHA512   Algorithm = "RSASSA_PSS_SHA_512"

	ECDSASHA256     Algorithm = "ECDSA_SHA_256"
	ECDSASHA384     Algorithm = "ECDSA_SHA_384"
	ECDSASHA512     Algorithm = "ECDSA_SHA_512"
	Ed25519SHA512   Algorithm = "ED25519_SHA_512"
	Ed25519PHSHA512 Algorithm = "ED25519_PH_SHA_512"
	MLDSASHAKE256   Algorithm = "ML_DSA_SHAKE_256"

	HMACSHA224 Algorithm = "HMAC_SHA_224"
	HMACSHA256 Algorithm = "HMAC_SHA_256"
	HMACSHA384 Algorithm = "HMAC_SHA_384"
	HMACSHA512 Algorithm = "HMAC_SHA_512"

	ECDH Algorithm = "ECDH"
)

// The errors of this package. They say what was wrong with the call and never
// why secret data did not fit: every failed decryption is the same ErrDecrypt.
var (
	ErrSpec         = errors.New("unknown key spec")
	ErrAlgorithm    = errors.New("algorithm not valid for the key spec")
	ErrMaterial     = errors.New("key material not valid for the key spec")
	ErrPublicKey    = errors.New("public key not valid")
	ErrMessageType  = errors.New("message type not valid for the algorithm")
	ErrDigestLength = errors.New("digest not of the algorithm's length")
	ErrTooLong      = errors.New("plaintext too long for key and algorithm")
	ErrDecrypt      = errors.New("ciphertext does not decrypt")
	ErrSignature    = errors.New("signature not valid")
	ErrExternalMu   = errors.New("signatures of an external mu cannot be verified here")
	ErrMAC          = errors.New("MAC not valid")
)
