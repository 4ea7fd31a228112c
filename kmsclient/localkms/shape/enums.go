package shape

// Enum returns the values of one of AWS's enumerations by the name it has in the
// service model, in the model's order; nil if there is none. Callers do not write
// to it. The enumerations of custom key stores are left out.
//
// Source: the service model of AWS KMS, version 2014-11-01.
func Enum(name string) []string { return enums[name] }

var enums = map[string][]string{
	"AlgorithmSpec": {
		"RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1",
		"RSA_AES_KEY_WRAP_SHA_256", "SM2PKE",
	},
	"CustomerMasterKeySpec": {
		"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2",
	},
	"DataKeyPairSpec": {
		"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "SM2", "ECC_NIST_EDWARDS25519",
	},
	"DataKeySpec":             {"AES_256", "AES_128"},
	"DryRunModifierType":      {"IGNORE_CIPHERTEXT"},
	"EncryptionAlgorithmSpec": {"SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"},
	"ExpirationModelType":     {"KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"},
	"GrantOperation": {
		"Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
		"ReEncryptTo", "Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey",
		"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac",
		"DeriveSharedSecret",
	},
	"ImportState":               {"IMPORTED", "PENDING_IMPORT"},
	"ImportType":                {"NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"},
	"IncludeKeyMaterial":        {"ALL_KEY_MATERIAL", "ROTATIONS_ONLY"},
	"KeyAgreementAlgorithmSpec": {"ECDH"},
	"KeyEncryptionMechanism":    {"RSAES_OAEP_SHA_256"},
	"KeyLastUsageTrackingOperation": {
		"Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
		"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac",
		"ReEncrypt", "Sign", "Verify", "VerifyMac",
	},
	"KeyManagerType": {"AWS", "CUSTOMER"},
	"KeyMaterialState": {
		"NON_CURRENT", "CURRENT", "PENDING_ROTATION", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION",
	},
	"KeySpec": {
		"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2",
		"ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519",
	},
	"KeyState": {
		"Creating", "Enabled", "Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion",
		"Unavailable", "Updating",
	},
	"KeyUsageType":       {"SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"},
	"MacAlgorithmSpec":   {"HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"},
	"MessageType":        {"RAW", "DIGEST", "EXTERNAL_MU"},
	"MultiRegionKeyType": {"PRIMARY", "REPLICA"},
	"OriginType":         {"AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"},
	"RotationType":       {"AUTOMATIC", "ON_DEMAND"},
	"SigningAlgorithmSpec": {
		"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512", "RSASSA_PKCS1_V1_5_SHA_256",
		"RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "ECDSA_SHA_256", "ECDSA_SHA_384",
		"ECDSA_SHA_512", "SM2DSA", "ML_DSA_SHAKE_256", "ED25519_SHA_512", "ED25519_PH_SHA_512",
	},
	"WrappingKeySpec": {"RSA_2048", "RSA_3072", "RSA_4096", "SM2"},
}
