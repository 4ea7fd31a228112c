package policy

import (
	"fmt"
	"slices"
	"strings"
)

// keyType is the set of the types of value that a condition key can hold. Text
// is not among them, since every value can be compared as text.
type keyType uint8

const (
	number keyType = 1 << iota
	date
	boolean
	address
	arn
	binary
	several // values in one request, so that conditions need a set operator

	plain   keyType = 0
	foreign         = number | date | boolean | address | arn | binary // somebody else's text
)

// conditionKeys are the keys that are understood, folded: those of KMS and the
// global ones that a request to this KMS can have. The keys of attestation
// documents are never in a request, for this KMS reads no such documents.
//
// Source: the Service Authorization Reference for AWS KMS, "AWS KMS condition
// keys" and "AWS global condition context keys".
var conditionKeys = func() map[string]keyType {
	keys := map[string]keyType{
		"kms:BypassPolicyLockoutSafetyCheck":         boolean,
		"kms:CallerAccount":                          plain,
		"kms:CustomerMasterKeySpec":                  plain,
		"kms:CustomerMasterKeyUsage":                 plain,
		"kms:DataKeyPairSpec":                        plain,
		"kms:EncryptionAlgorithm":                    plain,
		"kms:EncryptionContextKeys":                  several,
		"kms:ExpirationModel":                        plain,
		"kms:GrantConstraintType":                    plain,
		"kms:GranteePrincipal":                       arn,
		"kms:GrantIsForAWSResource":                  boolean,
		"kms:GrantOperations":                        several,
		"kms:KeyAgreementAlgorithm":                  plain,
		"kms:KeyOrigin":                              plain,
		"kms:KeySpec":                                plain,
		"kms:KeyUsage":                               plain,
		"kms:MacAlgorithm":                           plain,
		"kms:MessageType":                            plain,
		"kms:MultiRegion":                            boolean,
		"kms:MultiRegionKeyType":                     plain,
		"kms:PrimaryRegion":                          plain,
		"kms:RecipientAttestation:ImageSha384":       plain,
		"kms:ReEncryptOnSameKey":                     boolean,
		"kms:ReplicaRegion":                          plain,
		"kms:RequestAlias":                           plain,
		"kms:ResourceAliases":                        several,
		"kms:RetiringPrincipal":                      arn,
		"kms:RotationPeriodInDays":                   number,
		"kms:ScheduleKeyDeletionPendingWindowInDays": number,
		"kms:SigningAlgorithm":                       plain,
		"kms:ValidTo":                                date,
		"kms:ViaService":                             plain,
		"kms:WrappingAlgorithm":                      plain,
		"kms:WrappingKeySpec":                        plain,

		"aws:CurrentTime":      date,
		"aws:EpochTime":        date | number,
		"aws:PrincipalAccount": plain,
		"aws:PrincipalArn":     arn,
		"aws:PrincipalType":    plain,
		"aws:RequestedRegion":  plain,
		"aws:SecureTransport":  boolean,
		"aws:SourceIp":         address,
		"aws:TagKeys":          several,
		"aws:UserAgent":        plain,
		"aws:userid":           plain,
		"aws:username":         plain,
	}
	folded := map[string]keyType{}
	for name, t := range keys {
		folded[fold(name)] = t
	}
	for i := range 32 {
		folded[fmt.Sprintf("kms:recipientattestation:pcr%d", i)] = plain
	}
	for i := range 24 {
		folded[fmt.Sprintf("kms:recipientattestation:nitrotpmpcr%d", i)] = plain
	}
	return folded
}()

// namedKeys are the keys that are followed by a name.
var namedKeys = []string{"kms:encryptioncontext:", "aws:requesttag/", "aws:resourcetag/"}

// key folds the name of a condition key, if it is understood.
func (p *parser) key(name string) (key string, t keyType, ok bool) {
	key = fold(name)
	if p.kind == TrustPolicy && strings.HasPrefix(key, "kms:") || p.variables && strings.Contains(key, "${") {
		return key, 0, false
	}
	for _, prefix := range namedKeys {
		if len(key) > len(prefix) && strings.HasPrefix(key, prefix) {
			return key, foreign, true
		}
	}
	t, ok = conditionKeys[key]
	return key, t, ok
}

// fold brings names that do not depend on case into one form: those of actions
// and condition keys, and of what follows kms:EncryptionContext: or a tag key.
func fold(name string) string { return strings.ToLower(name) }

// Folded returns the values of a map whose keys fold to a name, sorted: what a
// Context answers for kms:encryptioncontext:NAME and the tag keys. AWS compares
// these names without regard to case, so that several entries of a request can
// be meant; only kms:EncryptionContextKeys tells them apart. The caller owns the
// slice.
func Folded(m map[string]string, name string) (values []string) {
	for k, v := range m {
		if fold(k) == name {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return values
}
