package localkms

import (
	"slices"

	"kmsfs/kmsclient/localkms/keyspec"
)

// symmetric tells a key that makes blobs of ours from one whose ciphertexts and
// signatures are everybody's.
func (k *cmk) symmetric() bool { return k.spec == specSymmetric }

// checkAlgorithm refuses an operation that the key is not for, and an algorithm
// that its spec does not have. usage is the KeyUsage the operation asks for.
func (c *call) checkAlgorithm(k *cmk, usage, algorithm string) error {
	if k.usage != usage {
		return refuse("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", c.arn(k), k.usage, c.op)
	}
	if !slices.Contains(k.algorithms(), algorithm) {
		return refuse("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", algorithm, k.spec)
	}
	return nil
}

// algorithms lists what the key does, in AWS's order.
func (k *cmk) algorithms() []string {
	var names []string
	for _, a := range keyspec.Spec(k.spec).Algorithms(keyspec.Usage(k.usage)) {
		names = append(names, string(a))
	}
	return names
}
