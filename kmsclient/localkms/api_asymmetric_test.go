package localkms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha3"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

// pairTest is a key under test.
type pairTest struct {
	*testing.T
	c     *Client
	spec  keyspec.Spec
	usage keyspec.Usage
	arn   string
}

func TestEveryAlgorithmOfEverySpec(t *testing.T) {
	c := newStore(t, Options{}).Client()
	for _, spec := range keyspec.Specs() {
		for _, usage := range spec.Usages() {
			t.Run(fmt.Sprintf("%s/%s", spec, usage), func(t *testing.T) {
				p := pairTest{t, c, spec, usage, plant(t, c, spec, usage)}
				p.publicKey()
				for _, algorithm := range spec.Algorithms(usage) {
					switch alg := string(algorithm); usage {
					case keyspec.SignVerify:
						p.sign(alg)
					case keyspec.GenerateVerifyMAC:
						p.mac(alg)
					case keyspec.KeyAgreement:
						p.agree(alg)
					case keyspec.EncryptDecrypt:
						p.encrypt(alg)
					}
				}
				p.refusals()
			})
		}
	}
}

func (p pairTest) publicKey() {
	out, err := p.c.GetPublicKey(bg, GetPublicKeyInput{KeyID: p.arn})
	if !p.spec.Asymmetric() {
		refused(p, err, "UnsupportedOperationException", fmt.Sprintf("%s key spec is %s which is not valid for GetPublicKey.", p.arn, p.spec))
		return
	}
	ok(p, err)
	want, err := keyspec.PublicKey(p.spec, shared(p, p.spec))
	ok(p, err)
	algorithms := slices.Concat(out.EncryptionAlgorithms, out.SigningAlgorithms, out.KeyAgreementAlgorithms)
	if !bytes.Equal(out.PublicKey, want) || out.KeyID != p.arn || out.KeySpec != string(p.spec) || out.CustomerMasterKeySpec != string(p.spec) ||
		out.KeyUsage != string(p.usage) || fmt.Sprint(algorithms) != fmt.Sprint(p.spec.Algorithms(p.usage)) {
		p.Errorf("GetPublicKey: %+v", out)
	}
}

func (p pairTest) sign(alg string) {
	message := []byte("a message")
	for _, kind := range []keyspec.MessageType{"", keyspec.Raw, keyspec.Digest, keyspec.ExternalMu} {
		in := SignInput{KeyID: p.arn, Message: message, MessageType: string(kind), SigningAlgorithm: alg}
		switch kind {
		case keyspec.Digest:
			hash := crypto.SHA256
			for name, h := range map[string]crypto.Hash{"SHA_384": crypto.SHA384, "SHA_512": crypto.SHA512} {
				if strings.HasSuffix(alg, name) {
					hash = h
				}
			}
			in.Message = make([]byte, hash.Size())
		case keyspec.ExternalMu:
			in.Message = p.mu(message)
		}
		signed, err := p.c.Sign(bg, in)
		raw := kind == "" || kind == keyspec.Raw
		if raw && alg == string(keyspec.Ed25519PHSHA512) || kind == keyspec.Digest && (alg == string(keyspec.Ed25519SHA512) || alg == string(keyspec.MLDSASHAKE256)) ||
			kind == keyspec.ExternalMu && alg != string(keyspec.MLDSASHAKE256) {
			refused(p, err, "ValidationException", "The message type is not valid for algorithm "+alg+".")
			continue
		}
		ok(p, err)
		if signed.KeyID != p.arn || signed.SigningAlgorithm != alg {
			p.Errorf("%s %s: %+v", alg, kind, signed)
		}
		check := VerifyInput{KeyID: p.arn, Message: in.Message, MessageType: in.MessageType, SigningAlgorithm: alg, Signature: signed.Signature}
		if kind == keyspec.ExternalMu {
			const words = "MessageType EXTERNAL_MU is not supported for Verify: use MessageType RAW with the message itself, or verify outside of KMS with the public key."
			refused(p, only(p.c.Verify(bg, check)), "UnsupportedOperationException", words)
			check.Message = in.Message[1:]
			refused(p, only(p.c.Verify(bg, check)), "ValidationException", "Digest is invalid length for algorithm "+alg+".")
			check.MessageType, check.Message = string(keyspec.Raw), message
		}
		out, err := p.c.Verify(bg, check)
		ok(p, err)
		if !out.SignatureValid || out.KeyID != p.arn || out.SigningAlgorithm != alg {
			p.Errorf("%s %s: %+v", alg, kind, out)
		}
		check.Signature = flip(signed.Signature)
		refused(p, only(p.c.Verify(bg, check)), "KMSInvalidSignatureException", "")
		check.Signature, check.Message = signed.Signature, flip(check.Message)
		refused(p, only(p.c.Verify(bg, check)), "KMSInvalidSignatureException", "")
		if !raw {
			in.Message = in.Message[1:]
			refused(p, only(p.c.Sign(bg, in)), "ValidationException", "Digest is invalid length for algorithm "+alg+".")
		}
	}
}

// mu is μ of FIPS 204 for a message with an empty context. An ML-DSA key is the
// whole BIT STRING of its SubjectPublicKeyInfo.
func (p pairTest) mu(message []byte) []byte {
	der, err := keyspec.PublicKey(p.spec, shared(p, p.spec))
	ok(p, err)
	var info struct {
		Algorithm asn1.RawValue
		PublicKey asn1.BitString
	}
	_, err = asn1.Unmarshal(der, &info)
	ok(p, err)
	tr := sha3.SumSHAKE256(info.PublicKey.Bytes, 64)
	return sha3.SumSHAKE256(slices.Concat(tr, []byte{0, 0}, message), 64)
}

func (p pairTest) mac(alg string) {
	message := []byte("a message")
	made, err := p.c.GenerateMac(bg, GenerateMacInput{KeyID: p.arn, Message: message, MacAlgorithm: alg})
	ok(p, err)
	if made.KeyID != p.arn || made.MacAlgorithm != alg {
		p.Errorf("%+v", made)
	}
	check := VerifyMacInput{KeyID: p.arn, Message: message, MacAlgorithm: alg, Mac: made.Mac}
	out, err := p.c.VerifyMac(bg, check)
	ok(p, err)
	if !out.MacValid || out.KeyID != p.arn || out.MacAlgorithm != alg {
		p.Errorf("%+v", out)
	}
	for _, mac := range [][]byte{flip(made.Mac), made.Mac[:len(made.Mac)-1]} {
		check.Mac = mac
		refused(p, only(p.c.VerifyMac(bg, check)), "KMSInvalidMacException", "")
	}
}

func (p pairTest) agree(alg string) {
	peer, err := keyspec.Generate(p.spec)
	ok(p, err)
	private, err := keyspec.ParsePrivate(p.spec, peer)
	ok(p, err)
	own, err := p.c.GetPublicKey(bg, GetPublicKeyInput{KeyID: p.arn})
	ok(p, err)
	want, err := private.DeriveSharedSecret(keyspec.Algorithm(alg), own.PublicKey)
	ok(p, err)
	in := DeriveSharedSecretInput{KeyID: p.arn, KeyAgreementAlgorithm: alg, PublicKey: private.Public().DER()}
	out, err := p.c.DeriveSharedSecret(bg, in)
	ok(p, err)
	if !bytes.Equal(out.SharedSecret, want) || out.KeyID != p.arn || out.KeyAgreementAlgorithm != alg || out.KeyOrigin != originKMS {
		p.Errorf("%+v, want secret %x", out, want)
	}
	in.PublicKey = in.PublicKey[1:]
	refused(p, only(p.c.DeriveSharedSecret(bg, in)), "ValidationException", fmt.Sprintf("The public key is not valid for key spec %s.", p.spec))
}

func (p pairTest) encrypt(alg string) {
	plaintext := make([]byte, p.spec.MaxPlaintext(keyspec.Algorithm(alg)))
	rand.Read(plaintext)
	sealed, err := p.c.API.Encrypt(bg, EncryptInput{KeyID: p.arn, EncryptionAlgorithm: alg, Plaintext: plaintext})
	ok(p, err)
	in := DecryptInput{KeyID: p.arn, EncryptionAlgorithm: alg, CiphertextBlob: sealed.CiphertextBlob}
	opened, err := p.c.API.Decrypt(bg, in)
	ok(p, err)
	if !bytes.Equal(opened.Plaintext, plaintext) || opened.KeyID != p.arn || opened.EncryptionAlgorithm != alg ||
		(opened.KeyMaterialID == "") == (p.spec == keyspec.SymmetricDefault) {
		p.Errorf("%+v", opened)
	}
	in.CiphertextBlob = flip(in.CiphertextBlob)
	refused(p, only(p.c.API.Decrypt(bg, in)), "InvalidCiphertextException", "")
	if !p.spec.Asymmetric() {
		return
	}
	const noContext = "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
	in.EncryptionContext = kmsclient.EncryptionContext{"a": "b"}
	refused(p, only(p.c.API.Decrypt(bg, in)), "ValidationException", noContext)
	_, err = p.c.API.Encrypt(bg, EncryptInput{KeyID: p.arn, EncryptionAlgorithm: alg, Plaintext: plaintext, EncryptionContext: in.EncryptionContext})
	refused(p, err, "ValidationException", noContext)
	_, err = p.c.API.Encrypt(bg, EncryptInput{KeyID: p.arn, EncryptionAlgorithm: alg, Plaintext: append(plaintext, 0)})
	refused(p, err, "ValidationException",
		fmt.Sprintf("Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", alg, p.spec, len(plaintext)))

	other := newKey(p, p.c)
	to, err := p.c.API.ReEncrypt(bg, ReEncryptInput{
		CiphertextBlob: sealed.CiphertextBlob, SourceKeyID: p.arn, SourceEncryptionAlgorithm: alg, DestinationKeyID: other,
	})
	ok(p, err)
	back, err := p.c.API.ReEncrypt(bg, ReEncryptInput{
		CiphertextBlob: to.CiphertextBlob, DestinationKeyID: p.arn, DestinationEncryptionAlgorithm: alg,
	})
	ok(p, err)
	opened, err = p.c.API.Decrypt(bg, DecryptInput{KeyID: p.arn, EncryptionAlgorithm: alg, CiphertextBlob: back.CiphertextBlob})
	ok(p, err)
	if !bytes.Equal(opened.Plaintext, plaintext) || to.SourceKeyMaterialID != "" || back.DestinationKeyMaterialID != "" ||
		to.SourceEncryptionAlgorithm != alg || back.DestinationEncryptionAlgorithm != alg {
		p.Errorf("reencrypted: %+v, %+v", to, back)
	}
}

// refusals tries all operations that the key is not for, and their algorithms
// that it does not have.
func (p pairTest) refusals() {
	for _, spec := range keyspec.Specs() {
		for _, usage := range spec.Usages() {
			for _, algorithm := range spec.Algorithms(usage) {
				alg := string(algorithm)
				if usage == p.usage && slices.Contains(p.spec.Algorithms(usage), algorithm) {
					continue
				}
				for op, call := range map[string]func() error{
					"Sign": func() error {
						return only(p.c.Sign(bg, SignInput{KeyID: p.arn, Message: []byte("m"), SigningAlgorithm: alg}))
					},
					"Verify": func() error {
						return only(p.c.Verify(bg, VerifyInput{KeyID: p.arn, Message: []byte("m"), Signature: []byte("s"), SigningAlgorithm: alg}))
					},
					"GenerateMac": func() error {
						return only(p.c.GenerateMac(bg, GenerateMacInput{KeyID: p.arn, Message: []byte("m"), MacAlgorithm: alg}))
					},
					"VerifyMac": func() error {
						return only(p.c.VerifyMac(bg, VerifyMacInput{KeyID: p.arn, Message: []byte("m"), Mac: []byte("m"), MacAlgorithm: alg}))
					},
					"DeriveSharedSecret": func() error {
						return only(p.c.DeriveSharedSecret(bg, DeriveSharedSecretInput{KeyID: p.arn, PublicKey: []byte("p"), KeyAgreementAlgorithm: alg}))
					},
					"Encrypt": func() error {
						return only(p.c.API.Encrypt(bg, EncryptInput{KeyID: p.arn, Plaintext: []byte("m"), EncryptionAlgorithm: alg}))
					},
					"Decrypt": func() error {
						return only(p.c.API.Decrypt(bg, DecryptInput{KeyID: p.arn, CiphertextBlob: []byte("m"), EncryptionAlgorithm: alg}))
					},
				} {
					switch {
					case opUsage[op] != usage: // package shape knows that the operation has no such algorithm
					case usage != p.usage:
						refused(p, call(), "InvalidKeyUsageException", fmt.Sprintf("%s key usage is %s which is not valid for %s.", p.arn, p.usage, op))
					default:
						refused(p, call(), "InvalidKeyUsageException", fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", alg, p.spec))
					}
				}
			}
		}
	}
}

var opUsage = map[string]keyspec.Usage{
	"Sign": keyspec.SignVerify, "Verify": keyspec.SignVerify, "GenerateMac": keyspec.GenerateVerifyMAC, "VerifyMac": keyspec.GenerateVerifyMAC,
	"DeriveSharedSecret": keyspec.KeyAgreement, "Encrypt": keyspec.EncryptDecrypt, "Decrypt": keyspec.EncryptDecrypt,
}

func BenchmarkSign(b *testing.B) {
	c := newStore(b, Options{}).Client()
	for spec, alg := range map[keyspec.Spec]keyspec.Algorithm{keyspec.RSA2048: keyspec.PSSSHA256, keyspec.NISTP256: keyspec.ECDSASHA256} {
		key := plant(b, c, spec, keyspec.SignVerify)
		b.Run(string(spec), func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := c.Sign(bg, SignInput{KeyID: key, Message: []byte("m"), SigningAlgorithm: string(alg)}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
