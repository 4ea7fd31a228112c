package policy

import "testing"

func BenchmarkDecide(b *testing.B) {
	defaultKey := parse(b, KeyPolicy, string(Default(account)))
	built := parse(b, KeyPolicy, string(Build(account, []string{alice}, []string{bob, session}, true)))
	conditions := keyPolicy(b, `"Effect": "Allow", "Principal": "*", "Condition": {
		"StringEquals": {"kms:CallerAccount": "111122223333", "kms:EncryptionContext:fs": "home"},
		"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["fs", "file"]}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`)
	own := identityPolicy(b, `"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "arn:aws:kms:*:111122223333:key/*"`)
	variable := identityPolicy(b, `"Effect": "Allow", "Action": "kms:*", "Condition": {"StringEquals": {"kms:EncryptionContext:fs": "${aws:username}"}}`)

	ec := map[string][]string{
		"kms:encryptioncontext:fs":  {"home"},
		"kms:encryptioncontextkeys": {"fs", "file"},
		"aws:sourceip":              {"10.1.2.3"},
	}
	home := decrypt("arn:aws:iam::111122223333:user/home")
	home.Context = contextOf(ec)
	for _, c := range []struct {
		name     string
		key      *Policy
		identity []*Policy
		r        *Request
	}{
		{"default and identity policy", defaultKey, []*Policy{own}, decrypt(alice)},
		{"named in the key policy", built, nil, decrypt(session)},
		{"conditions", conditions, nil, home},
		{"variable", defaultKey, []*Policy{variable}, home},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !Decide(c.r, c.key, c.identity).Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	doc := Build(account, []string{alice}, []string{bob}, true)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(doc, KeyPolicy); err != nil {
			b.Fatal(err)
		}
	}
}
