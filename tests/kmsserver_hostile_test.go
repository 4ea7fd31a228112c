package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// hostile makes requests that no server should grant.
type hostile struct {
	rnd     *rand.Rand
	alice   *caller
	key     string // hers
	blob    []byte // under it, with the context {"a":"b"}
	foreign []byte // under a key of another store
}

// attack is one kind of bad request: an operation, and its body.
type attack func(h *hostile) (op string, body []byte)

// attacks are the kinds by name. Whatever they draw, the answer is an error.
var attacks = map[string]attack{
	"bytes": func(h *hostile) (string, []byte) { return h.operation(), append([]byte{0xff}, h.bytes(300)...) },
	"cut JSON": func(h *hostile) (string, []byte) {
		b, _ := json.Marshal(params{"KeyId": h.key, "Plaintext": []byte("x")})
		return h.operation(), b[:h.rnd.IntN(len(b))/2+1]
	},
	"no object": func(h *hostile) (string, []byte) {
		return "DescribeKey", []byte(h.one(`[]`, `null`, `1`, `"KeyId"`, `[{"KeyId":"x"}]`, `true`, ``, ` `, `{}{}`, `{"KeyId":"x"}x`))
	},
	"deep": func(h *hostile) (string, []byte) {
		n := 100 + h.rnd.IntN(50_000)
		return h.operation(), []byte(`{"Policy":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	},
	"deep policy": func(h *hostile) (string, []byte) {
		n := 10 + h.rnd.IntN(5000)
		return "PutKeyPolicy", h.policy(`{"Version":"2012-10-17","Statement":` + strings.Repeat(`{"Statement":`, n) + `1` + strings.Repeat("}", n) + `}`)
	},
	"policy": func(h *hostile) (string, []byte) {
		return "PutKeyPolicy", h.policy(h.one(
			``, `{`, `[]`, `{"Statement":[]}`, `{"Version":"2012-10-17","Statement":[{}]}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"Evil":{"a":"b"}}}}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"nobody"},"Action":"kms:*","Resource":"*"}}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Maybe","Principal":"*","Action":"kms:*","Resource":"*"}}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"`+strings.Repeat("*", 200)+`","Resource":"*"}}x`,
			strings.Repeat(" ", 40_000)+`{}`,
		))
	},
	"many statements": func(h *hostile) (string, []byte) {
		s := `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}`
		return "PutKeyPolicy", h.policy(`{"Version":"2012-10-17","Statement":[` + strings.Repeat(s+",", 600) + s + `]}`)
	},
	"wrong type": func(h *hostile) (string, []byte) {
		m := h.one("KeyId", "Plaintext", "EncryptionContext", "GrantTokens", "EncryptionAlgorithm", "DryRun")
		v := h.one(`1`, `1.5e300`, `{"a":1}`, `[1]`, `[[]]`, `[null]`, `{"a":{"b":"c"}}`, `9223372036854775808`, `-1`)
		return "Encrypt", []byte(fmt.Sprintf(`{"KeyId":%q,"Plaintext":"eA==",%q:%s}`, h.key, m, v))
	},
	"twice": func(h *hostile) (string, []byte) {
		return "DescribeKey", []byte(fmt.Sprintf(`{"KeyId":%q,"KeyId":%q}`, "other", h.key+"x"))
	},
	"number": func(h *hostile) (string, []byte) {
		return "GenerateRandom", []byte(fmt.Sprintf(`{"NumberOfBytes":%s}`, h.one("0", "-1", "1025", "1e9", "1.5", "99999999999999999999", "NaN", `"8"`)))
	},
	"base64": func(h *hostile) (string, []byte) {
		return "Decrypt", []byte(fmt.Sprintf(`{"CiphertextBlob":%q}`, h.one("", "=", "a", "ab", "a b=", "####", "YQ==YQ==", "\x00", "YQ=", "-_-_", "YR==x")))
	},
	"oversize plaintext": func(h *hostile) (string, []byte) {
		return "Encrypt", h.encode(params{"KeyId": h.key, "Plaintext": make([]byte, 4097+h.rnd.IntN(100_000))})
	},
	"oversize context": func(h *hostile) (string, []byte) {
		return "Encrypt", h.encode(params{"KeyId": h.key, "Plaintext": []byte("x"), "EncryptionContext": params{"a": strings.Repeat("b", 8200+h.rnd.IntN(100_000))}})
	},
	"oversize request": func(h *hostile) (string, []byte) {
		return h.operation(), h.encode(params{"KeyId": strings.Repeat("k", 300_000+h.rnd.IntN(100_000))})
	},
	"many members": func(h *hostile) (string, []byte) {
		var b strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&b, `"M%d":%d,`, i, i)
		}
		return "DescribeKey", []byte("{" + b.String() + `"KeyId":"none"}`)
	},
	"cut ciphertext": func(h *hostile) (string, []byte) {
		return "Decrypt", h.decrypt(h.blob[:h.rnd.IntN(len(h.blob))])
	},
	"altered ciphertext": func(h *hostile) (string, []byte) {
		b := bytes.Clone(h.blob)
		b[h.rnd.IntN(len(b))] ^= byte(1 + h.rnd.IntN(255))
		return "Decrypt", h.decrypt(b)
	},
	"longer ciphertext": func(h *hostile) (string, []byte) {
		return "Decrypt", h.decrypt(append(bytes.Clone(h.blob), h.bytes(100)...))
	},
	"foreign ciphertext": func(h *hostile) (string, []byte) { return "Decrypt", h.decrypt(h.foreign) },
	"random ciphertext":  func(h *hostile) (string, []byte) { return "Decrypt", h.decrypt(h.bytes(6144)) },
	"other context": func(h *hostile) (string, []byte) {
		return "Decrypt", h.encode(params{"CiphertextBlob": h.blob, "EncryptionContext": params{"a": "b", string(rune('c' + h.rnd.IntN(20))): "x"}})
	},
	"unknown operation": func(h *hostile) (string, []byte) {
		return h.one("Nothing", "Decrypt2", "decrypt", "GetSecretValue", "Eval", strings.Repeat("A", 64), "Encrypt0"), []byte(`{}`)
	},
	"custom key store": func(h *hostile) (string, []byte) {
		return h.one("CreateCustomKeyStore", "ConnectCustomKeyStore", "DescribeCustomKeyStores"), []byte(`{"CustomKeyStoreId":"cks-1234567890abcdef0","CustomKeyStoreName":"a"}`)
	},
	"bad key id": func(h *hostile) (string, []byte) {
		return "DescribeKey", h.encode(params{"KeyId": h.one("../../root.key", "alias/", "alias/'; DROP TABLE cmk; --", "arn:aws:kms:::", h.key+"/x",
			strings.Repeat("arn:", 500), "alias/\u202e", "\x00", "arn:aws:kms:us-east-1:999999999999:key/"+h.key[len(h.key)-36:])})
	},
	"bad tags": func(h *hostile) (string, []byte) {
		return "TagResource", h.encode(params{"KeyId": h.key, "Tags": []params{{"TagKey": h.one("", "aws:x", strings.Repeat("k", 129)), "TagValue": "v"}}})
	},
	"too many tags": func(h *hostile) (string, []byte) {
		var tags []params
		for i := range 51 {
			tags = append(tags, params{"TagKey": strconv.Itoa(i), "TagValue": "v"})
		}
		return "TagResource", h.encode(params{"KeyId": h.key, "Tags": tags})
	},
	"bad import": func(h *hostile) (string, []byte) {
		return "ImportKeyMaterial", h.encode(params{"KeyId": h.key, "ImportToken": h.bytes(500), "EncryptedKeyMaterial": h.bytes(500), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
	},
	"bad marker": func(h *hostile) (string, []byte) {
		return "ListKeys", h.encode(params{"Marker": string(h.letters(100)) + "!"})
	},
	"bad grant": func(h *hostile) (string, []byte) {
		return "CreateGrant", h.encode(params{"KeyId": h.key, "GranteePrincipal": h.one("nobody", "*", "arn:aws:iam::1:user/x"), "Operations": []string{h.one("Everything", "Decrypt", "")}})
	},
	"surrogates": func(h *hostile) (string, []byte) {
		return "CreateAlias", []byte(`{"AliasName":"alias/\ud800","TargetKeyId":"\udfff"}`)
	},
}

func (h *hostile) one(choices ...string) string { return choices[h.rnd.IntN(len(choices))] }

func (h *hostile) operation() string {
	return h.one("Encrypt", "Decrypt", "PutKeyPolicy", "DescribeKey")
}

// bytes are 1 to n random ones.
func (h *hostile) bytes(n int) []byte {
	b := make([]byte, 1+h.rnd.IntN(n))
	for i := range b {
		b[i] = byte(h.rnd.Uint32())
	}
	return b
}

func (h *hostile) letters(n int) []byte {
	b := h.bytes(n)
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	return b
}

func (h *hostile) encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of a map made here
	}
	return b
}

func (h *hostile) decrypt(blob []byte) []byte {
	return h.encode(params{"CiphertextBlob": blob, "EncryptionContext": params{"a": "b"}})
}

func (h *hostile) policy(document string) []byte {
	return h.encode(params{"KeyId": h.key, "PolicyName": "default", "Policy": document})
}
