package localkms

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/policy"
	"kmsfs/kmsclient/localkms/shape"
)

// FuzzCall: whatever operations are called with, in whatever order, by whom and
// when, each answers with JSON or with a refusal that has an error name, and leaves
// one record; afterwards the store is sound.
func FuzzCall(f *testing.F) {
	for seed := range uint64(12) {
		script := make([]byte, 1500)
		rand.NewChaCha8([32]byte{byte(seed)}).Read(script)
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := &scripted{rest: script[:min(len(script), 4096)], clock: newClock(), pool: map[string][]string{}}
		s.open(t)
		calls := 0
		for ; len(s.rest) > 0; calls++ {
			s.call(t)
		}
		s.sound(t, calls)
	})
}

// scripted makes calls of a store as the bytes of a script say.
type scripted struct {
	rest    []byte
	clock   *clock
	store   *Store
	clients []*Client
	names   []string            // of operations
	pool    map[string][]string // values of members, also as they were answered
}

// pick is the script's next choice among n.
func (s *scripted) pick(n int) int {
	if len(s.rest) == 0 {
		return 0
	}
	b := int(s.rest[0])
	s.rest = s.rest[1:]
	return b % n
}

// open makes a store with keys of all sorts and callers of all ranks.
func (s *scripted) open(t *testing.T) {
	s.store = openStore(t, filepath.Join(t.TempDir(), "kms"), Options{Create: true, Now: s.clock.Now})
	owner := s.store.ClientFor(Caller{Principal: LocalUser()})
	user := as(t, s.store, "user/u", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:List*","Resource":"*"}}`)
	elsewhere := s.store.ClientFor(Caller{Principal: LocalUser(), Region: "eu-central-1"})
	service := s.store.ClientFor(Caller{Principal: LocalUser(), ViaService: "ec2.us-east-1.amazonaws.com"})
	s.clients = []*Client{owner, owner, owner, elsewhere, user, service}
	s.names = append(slices.Sorted(maps.Keys(operations)), "CreateUser", "ConnectCustomKeyStore", "")

	var keys []string
	for _, in := range []CreateKeyInput{{}, {MultiRegion: true}, {Origin: originExternal}, {KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"}} {
		out, err := owner.CreateKey(bg, in)
		ok(t, err)
		keys = append(keys, out.KeyMetadata.Arn, out.KeyMetadata.KeyID)
		if in.Origin == originExternal {
			i := importerOf(t, owner, out.KeyMetadata.Arn)
			s.pool["ImportToken"] = []string{base64.StdEncoding.EncodeToString(i.params.ImportToken)}
			for _, material := range []string{strings.Repeat("1", 32), strings.Repeat("2", 32), "short"} {
				wrapped := wrapOAEP(t, i.params.PublicKey, []byte(material))
				s.pool["EncryptedKeyMaterial"] = append(s.pool["EncryptedKeyMaterial"], base64.StdEncoding.EncodeToString(wrapped))
			}
		}
	}
	keys = append(keys, plant(t, owner, keyspec.RSA2048, keyspec.EncryptDecrypt), plant(t, owner, keyspec.NISTP256, keyspec.SignVerify),
		plant(t, owner, keyspec.NISTP256, keyspec.KeyAgreement), plant(t, owner, keyspec.MLDSA44, keyspec.SignVerify))
	ok(t, only(owner.CreateAlias(bg, CreateAliasInput{AliasName: "alias/a", TargetKeyID: keys[0]})))
	for _, name := range []string{"KeyId", "TargetKeyId", "SourceKeyId", "DestinationKeyId"} {
		s.pool[name] = append(slices.Clone(keys), "alias/a", "alias/aws/ebs", "arn:aws:kms:us-east-1:000000000000:alias/a")
	}
	account := s.store.account
	s.pool["AliasName"] = []string{"alias/a", "alias/b", "alias/aws/ebs"}
	s.pool["Policy"] = []string{
		string(policy.Default(account)), string(policy.Build(account, []string{rootARN(account)}, []string{userARN(account, "u")}, true)),
		strings.Replace(string(policy.Default(account)), "Allow", "Deny", 1),
	}
	s.pool["GranteePrincipal"] = []string{userARN(account, "u"), rootARN(account)}
	s.pool["RetiringPrincipal"] = s.pool["GranteePrincipal"]
	s.pool["ReplicaRegion"] = []string{"eu-central-1", "us-east-1"}
	s.pool["PrimaryRegion"] = s.pool["ReplicaRegion"]
	s.pool["PolicyName"] = []string{"default"}
	s.pool["TagKey"] = []string{"a", "A", "aws:b"}
	s.pool["TagKeys"] = s.pool["TagKey"]
	s.pool["Description"] = []string{"", "x", strings.Repeat("\x01", 8192)}
	s.pool["TagValue"] = s.pool["Description"]
	// RSA takes long to make.
	s.pool["KeySpec"] = []string{"SYMMETRIC_DEFAULT", "ECC_NIST_P256", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "HMAC_512", "ML_DSA_44", "SM2"}
	s.pool["CustomerMasterKeySpec"] = s.pool["KeySpec"]
	s.pool["KeyPairSpec"] = []string{"ECC_NIST_P384", "ECC_SECG_P256K1", "SM2"}
	s.pool["WrappingKeySpec"] = []string{"SM2"}
}

// call makes one call, after a time, and keeps what it answers for later ones.
func (s *scripted) call(t *testing.T) {
	s.clock.add([]time.Duration{time.Millisecond, time.Minute, 0, 8 * 24 * time.Hour, -time.Hour, 31 * 24 * time.Hour}[s.pick(6)])
	name := s.names[s.pick(len(s.names))]
	c := s.clients[s.pick(len(s.clients))]
	var body []byte
	if o, known := operations[name]; known && s.pick(32) != 0 {
		body = s.structure(o.Input)
	} else {
		n := s.pick(64)
		body = s.rest[:min(n, len(s.rest))]
	}
	answer, err := c.Call(bg, name, body)
	var refusal *kmsclient.Error
	switch {
	case err == nil && len(answer) > 0 && !json.Valid(answer): // of some, AWS answers nothing
		t.Errorf("%s %s: answers %q", name, body, answer)
	case err != nil && (!errors.As(err, &refusal) || refusal.Code == "" || refusal.Code == "KMSInternalException"):
		t.Errorf("%s %s: %v", name, body, err)
	}
	var members any
	json.Unmarshal(answer, &members)
	s.keep("", members)
}

// keep puts the texts of an answer into the pool, by the names of their members.
func (s *scripted) keep(name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			s.keep(name, v[name])
		}
	case []any:
		for _, item := range v {
			s.keep(name, item)
		}
	case string:
		alias, ok := map[string]string{
			"GrantToken": "GrantTokens", "NextMarker": "Marker", "SourceKeyId": "KeyId", "Arn": "KeyId", "PrivateKeyCiphertextBlob": "CiphertextBlob",
		}[name]
		if !ok {
			alias = name
		}
		if list := s.pool[alias]; len(list) < 64 && !slices.Contains(list, v) {
			s.pool[alias] = append(list, v)
		}
	}
}

// structure makes the JSON of a request: what must be given, and some of the rest,
// rarely that for which there is no value of any meaning.
func (s *scripted) structure(of reflect.Type) []byte {
	var b []byte
	for m := range shape.Members(of) {
		known := s.pool[m.Name] != nil || m.Kind != shape.String && m.Kind != shape.List || m.Enum != nil
		if rare := m.Unsupported || !known; !m.Required && (s.pick(3) != 0 || rare && s.pick(16) != 0) {
			continue
		}
		b = fmt.Appendf(b, ",%q:%s", m.Name, s.value(m))
	}
	if b == nil {
		return []byte("{}")
	}
	b[0] = '{'
	return append(b, '}')
}

func (s *scripted) value(m shape.Member) []byte {
	if s.pick(64) == 0 {
		return []byte([]string{"null", `""`, "0", "[]", "{}", `"\ud800"`, "1e400", `"` + strings.Repeat("x", 9000) + `"`}[s.pick(8)])
	}
	switch m.Kind {
	case shape.Boolean:
		return []byte([]string{"true", "false"}[s.pick(2)])
	case shape.Integer:
		return []byte([]string{"1", "7", "30", "90", "2560", "100", "-1", "9223372036854775807"}[s.pick(8)])
	case shape.Timestamp:
		at := s.clock.Now().Add([]time.Duration{time.Hour, 24 * time.Hour, -time.Hour, 400 * 24 * time.Hour}[s.pick(4)]).Unix()
		return fmt.Append(nil, []int64{at, at, at, 1 << 60, -1 << 60}[s.pick(5)])
	case shape.Map:
		return []byte([]string{`{}`, `{"a":"1"}`, `{"A":"1"}`, `{"a":"1","b":"2"}`, `{"` + strings.Repeat(`\u0000`, 4000) + `":""}`}[s.pick(5)])
	case shape.List:
		var b []byte
		for range s.pick(4) {
			item := s.text(m)
			if m.Item == shape.Structure {
				item = s.structure(m.Nested)
			}
			b = append(append(b, ','), item...)
		}
		return append(append([]byte{'['}, b[min(1, len(b)):]...), ']')
	case shape.Structure:
		return s.structure(m.Nested)
	}
	return s.text(m)
}

// text is a value of the pool or of an enumeration, or a short one of no meaning.
func (s *scripted) text(m shape.Member) []byte {
	values := s.pool[m.Name]
	switch {
	case values == nil && m.Kind == shape.Blob:
		values = []string{"bWVzc2FnZQ==", base64.StdEncoding.EncodeToString(make([]byte, 32)), base64.StdEncoding.EncodeToString(make([]byte, 5000))}
	case values == nil:
		values = m.Enum
	}
	if values == nil || s.pick(32) == 0 {
		values = []string{"x", "\x00é\"<", "AA=="}
	}
	b, _ := json.Marshal(values[s.pick(len(values))])
	return b
}

// sound checks what holds of a store whatever was done with it.
func (s *scripted) sound(t *testing.T, calls int) {
	records, err := s.store.VerifyAudit(bg)
	if err != nil || records < uint64(calls) {
		t.Errorf("%d calls, %d records verify: %v", calls, records, err)
	}
	for r, err := range s.store.AuditEvents(bg, AuditFilter{}) {
		if _, bad := json.Marshal(r.Event); err != nil || bad != nil {
			t.Fatalf("record %d: %v, %v", r.Seq, err, bad)
		}
	}
	for what, query := range map[string]string{
		"damage":                      "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
		"reference to nothing":        "SELECT * FROM pragma_foreign_key_check",
		"key without its material":    "SELECT 1 FROM cmk WHERE state IN ('Enabled', 'Disabled') AND NOT EXISTS (SELECT 1 FROM material m WHERE m.region = cmk.region AND m.cmk = cmk.id AND number = current AND sealed IS NOT NULL)",
		"deleted key that holds some": "SELECT 1 FROM cmk JOIN material m ON m.region = cmk.region AND m.cmk = cmk.id WHERE state = 'Deleted' AND sealed IS NOT NULL",
		"deleted key with a grant":    "SELECT 1 FROM cmk JOIN key_grant g ON g.region = cmk.region AND g.cmk = cmk.id WHERE state = 'Deleted'",
		"key beyond its quotas":       "SELECT 1 FROM alias GROUP BY region, cmk HAVING count(*) > 50 UNION ALL SELECT 1 FROM tag GROUP BY region, cmk HAVING count(*) > 50",
		"material of two keys":        "SELECT 1 FROM material GROUP BY ref HAVING count(DISTINCT cmk) > 1",
		"relations that differ":       "SELECT 1 FROM cmk WHERE prime <> '' AND state <> 'Deleted' GROUP BY id HAVING count(DISTINCT prime) > 1 OR count(DISTINCT current) > 1 OR sum(prime = region) <> 1",
		"quota counted otherwise":     "SELECT region, count(*) FROM cmk WHERE state <> 'Deleted' AND manager = 'CUSTOMER' GROUP BY region EXCEPT SELECT region, n FROM key_count",
		"rotation of a replica":       "SELECT 1 FROM cmk WHERE prime NOT IN ('', region) AND period <> 0",
		"missed date":                 fmt.Sprintf("SELECT 1 FROM cmk WHERE due < %d", s.clock.Now().Add(-31*24*time.Hour).UnixMilli()),
	} {
		var any int
		if err := s.store.db.QueryRow("SELECT count(*) FROM (" + query + ")").Scan(&any); err != nil || any != 0 {
			t.Errorf("%d times %s, %v", any, what, err)
		}
	}
	ok(t, s.store.openSealed(bg))
}
