package keyspec

import "testing"

// sink keeps results from being optimised away.
var sink any

func BenchmarkGenerate(b *testing.B) {
	for _, s := range Specs() {
		b.Run(string(s), func(b *testing.B) {
			for b.Loop() {
				m, err := Generate(s)
				if err != nil {
					b.Fatal(err)
				}
				sink = m
			}
		})
	}
}

func BenchmarkParsePrivate(b *testing.B) {
	for _, s := range Specs() {
		m := material(b, s)
		b.Run(string(s), func(b *testing.B) {
			for b.Loop() {
				sink = parse(b, s, m)
			}
		})
	}
}

func BenchmarkCheckMaterial(b *testing.B) {
	for _, s := range []Spec{RSA2048, RSA3072, RSA4096} {
		m := material(b, s)
		b.Run(string(s), func(b *testing.B) {
			for b.Loop() {
				if err := CheckMaterial(s, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchmarkSignatures runs f once for every spec and one algorithm of each kind.
func benchmarkSignatures(b *testing.B, f func(b *testing.B, p *Private, alg Algorithm, mt MessageType)) {
	for _, s := range pairs() {
		p := private(b, s)
		for _, alg := range s.Algorithms(SignVerify) {
			if _, isRSA := p.row.pair.(rsaFamily); isRSA && alg != PKCS1SHA256 && alg != PSSSHA256 {
				continue
			}
			for mt := range messageTypes(p, alg, nil) {
				if mt == Raw || alg == Ed25519PHSHA512 {
					b.Run(string(s)+"/"+string(alg)+"/"+string(mt), func(b *testing.B) { f(b, p, alg, mt) })
				}
			}
		}
	}
}

func BenchmarkSign(b *testing.B) {
	benchmarkSignatures(b, func(b *testing.B, p *Private, alg Algorithm, mt MessageType) {
		message := make([]byte, 64)
		for b.Loop() {
			signature, err := p.Sign(alg, mt, message)
			if err != nil {
				b.Fatal(err)
			}
			sink = signature
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	benchmarkSignatures(b, func(b *testing.B, p *Private, alg Algorithm, mt MessageType) {
		message := make([]byte, 64)
		signature, err := p.Sign(alg, mt, message)
		if err != nil {
			b.Fatal(err)
		}
		public := p.Public()
		for b.Loop() {
			if err := public.Verify(alg, mt, message, signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOAEP(b *testing.B) {
	for _, s := range []Spec{RSA2048, RSA3072, RSA4096} {
		p := private(b, s)
		ciphertext, err := p.Public().Encrypt(OAEPSHA256, make([]byte, 32))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(s)+"/Encrypt", func(b *testing.B) {
			for b.Loop() {
				sink, _ = p.Public().Encrypt(OAEPSHA256, make([]byte, 32))
			}
		})
		b.Run(string(s)+"/Decrypt", func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Decrypt(OAEPSHA256, ciphertext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGenerateMAC(b *testing.B) {
	for _, s := range []Spec{HMAC224, HMAC256, HMAC384, HMAC512} {
		p, alg, message := private(b, s), s.Algorithms(GenerateVerifyMAC)[0], make([]byte, 4096)
		b.Run(string(s), func(b *testing.B) {
			for b.Loop() {
				sink, _ = p.GenerateMAC(alg, message)
			}
		})
	}
}

func BenchmarkDeriveSharedSecret(b *testing.B) {
	for _, s := range []Spec{NISTP256, NISTP384, NISTP521} {
		p := private(b, s)
		peer := p.Public().DER()
		b.Run(string(s), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.DeriveSharedSecret(ECDH, peer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnwrapImport(b *testing.B) {
	p := private(b, RSA4096)
	m := material(b, RSA4096)
	wrapped := wrap(b, RSAAESKeyWrapSHA256, p.Public(), make([]byte, 32), m)
	for b.Loop() {
		if _, err := UnwrapImport(RSAAESKeyWrapSHA256, p, wrapped); err != nil {
			b.Fatal(err)
		}
	}
}
