package keyspec

import (
	"bytes"
	"crypto/sha3"

	"filippo.io/mldsa"
)

// This file verifies ML-DSA signatures of a given μ, which the ML-DSA module can
// sign and not verify. It follows FIPS 204, whose algorithms it cites by number,
// and handles public values only, so it is free to branch on them.

const (
	muSize = 64
	mldsaQ = 8380417
	mldsaN = 256
)

// muParameters are those of FIPS 204, Table 1, that verification needs.
type muParameters struct {
	k, l          int // rows and columns of A
	challenge     int // length of c̃ in bytes
	tau           int // number of ±1 in c
	omega         int // most hints
	gamma1Bits    int // of a coefficient of z: 1 + log2 γ1
	gamma2Divisor uint32
	beta          uint32
}

var muParameterSets = map[mldsa.Parameters]muParameters{
	mldsa.MLDSA44(): {k: 4, l: 4, challenge: 32, tau: 39, omega: 80, gamma1Bits: 18, gamma2Divisor: 88, beta: 78},
	mldsa.MLDSA65(): {k: 6, l: 5, challenge: 48, tau: 49, omega: 55, gamma1Bits: 20, gamma2Divisor: 32, beta: 196},
	mldsa.MLDSA87(): {k: 8, l: 7, challenge: 64, tau: 60, omega: 75, gamma1Bits: 20, gamma2Divisor: 32, beta: 120},
}

// poly is a polynomial in R_q or T_q; its coefficients are 0 to q-1.
type poly [mldsaN]uint32

// verifyMu is ML-DSA.Verify_internal (Algorithm 8), from line 7 on.
func verifyMu(key *mldsa.PublicKey, mu, signature []byte) bool {
	p := muParameterSets[key.Parameters()]
	if len(mu) != muSize || len(signature) != key.Parameters().SignatureSize() {
		return false
	}
	pk := key.Bytes()
	rho, t1 := pk[:32], pk[32:]
	challenge, rest := signature[:p.challenge], signature[p.challenge:]
	zSize := 32 * p.gamma1Bits
	hints, ok := p.hints(rest[p.l*zSize:])
	if !ok {
		return false
	}
	z := make([]poly, p.l)
	for i := range z {
		if !p.unpackZ(rest[i*zSize:(i+1)*zSize], &z[i]) {
			return false
		}
		z[i].ntt()
	}
	c := p.sampleInBall(challenge)
	c.ntt()

	h := sha3.NewSHAKE256()
	h.Write(mu)
	for r := range p.k {
		var w, t poly // w = A z - c t1 2^d
		for s := range z {
			a := rejNTTPoly(rho, byte(s), byte(r))
			for i := range w {
				w[i] = (w[i] + mul(a[i], z[s][i])) % mldsaQ
			}
		}
		unpack(t1[320*r:320*(r+1)], 10, func(i int, x uint32) { t[i] = x << 13 })
		t.ntt()
		for i := range w {
			w[i] = (w[i] + mldsaQ - mul(c[i], t[i])) % mldsaQ
		}
		w.inverseNTT()
		h.Write(p.encodeW1(&w, &hints[r]))
	}
	again := make([]byte, p.challenge)
	h.Read(again)
	return bytes.Equal(again, challenge)
}

func mul(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) % mldsaQ) }

// zetas are ζ^BitRev8(k) mod q for ζ = 1753 (Appendix B).
var zetas = func() (z [mldsaN]uint32) {
	power := uint32(1)
	for i := range z {
		k := 0
		for bit := range 8 {
			k |= i >> bit & 1 << (7 - bit)
		}
		z[k] = power
		power = mul(power, 1753)
	}
	return z
}()

// ntt is Algorithm 41, in place.
func (w *poly) ntt() {
	m := 0
	for length := 128; length >= 1; length /= 2 {
		for start := 0; start < mldsaN; start += 2 * length {
			m++
			for j := start; j < start+length; j++ {
				t := mul(zetas[m], w[j+length])
				w[j+length] = (w[j] + mldsaQ - t) % mldsaQ
				w[j] = (w[j] + t) % mldsaQ
			}
		}
	}
}

// inverseNTT is Algorithm 42, in place.
func (w *poly) inverseNTT() {
	m := mldsaN
	for length := 1; length < mldsaN; length *= 2 {
		for start := 0; start < mldsaN; start += 2 * length {
			m--
			for j := start; j < start+length; j++ {
				t := w[j]
				w[j] = (t + w[j+length]) % mldsaQ
				w[j+length] = mul(mldsaQ-zetas[m], t+mldsaQ-w[j+length])
			}
		}
	}
	for j := range w {
		w[j] = mul(w[j], 8347681) // 256^-1 mod q
	}
}

// unpack is SimpleBitUnpack (Algorithm 18): 256 numbers of so many bits each,
// little endian.
func unpack(b []byte, bits int, set func(i int, x uint32)) {
	var acc uint64
	var have, n int
	for _, x := range b {
		acc |= uint64(x) << have
		for have += 8; have >= bits; have -= bits {
			set(n, uint32(acc&(1<<bits-1)))
			acc >>= bits
			n++
		}
	}
}

// unpackZ is BitUnpack (Algorithm 19) of a polynomial of z. It reports whether
// all coefficients are below γ1 - β in absolute value.
func (p *muParameters) unpackZ(b []byte, z *poly) (short bool) {
	gamma1 := uint32(1) << (p.gamma1Bits - 1)
	short = true
	unpack(b, p.gamma1Bits, func(i int, x uint32) {
		if x <= p.beta || x >= 2*gamma1-p.beta { // z = γ1 - x
			short = false
		}
		z[i] = (gamma1 + mldsaQ - x) % mldsaQ
	})
	return short
}

// hints is HintBitUnpack (Algorithm 21).
func (p *muParameters) hints(y []byte) (h [8][mldsaN]bool, ok bool) {
	index := 0
	for i := range p.k {
		end := int(y[p.omega+i])
		if end < index || end > p.omega {
			return h, false
		}
		for first := index; index < end; index++ {
			if index > first && y[index-1] >= y[index] {
				return h, false
			}
			h[i][y[index]] = true
		}
	}
	return h, bytes.Count(y[index:p.omega], []byte{0}) == p.omega-index
}

// sampleInBall is Algorithm 29.
func (p *muParameters) sampleInBall(seed []byte) (c poly) {
	h := sha3.NewSHAKE256()
	h.Write(seed)
	var signs [8]byte
	h.Read(signs[:])
	for n := range p.tau {
		i := mldsaN - p.tau + n
		var j [1]byte
		for h.Read(j[:]); int(j[0]) > i; {
			h.Read(j[:])
		}
		c[i] = c[j[0]]
		c[j[0]] = 1
		if signs[n/8]>>(n%8)&1 == 1 {
			c[j[0]] = mldsaQ - 1
		}
	}
	return c
}

// rejNTTPoly is Algorithm 30 for the entry of A in row r and column s.
func rejNTTPoly(rho []byte, s, r byte) (a poly) {
	h := sha3.NewSHAKE128()
	h.Write(rho)
	h.Write([]byte{s, r})
	var b [168]byte // a block of SHAKE128, and a multiple of 3
	for n := 0; n < mldsaN; {
		h.Read(b[:])
		for i := 0; i < len(b) && n < mldsaN; i += 3 {
			if x := uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2]&0x7f)<<16; x < mldsaQ {
				a[n] = x
				n++
			}
		}
	}
	return a
}

// encodeW1 is UseHint (Algorithm 40) and then SimpleBitPack (Algorithm 16) of
// one polynomial: 6 or 4 bits a coefficient.
func (p *muParameters) encodeW1(w *poly, hint *[mldsaN]bool) []byte {
	gamma2 := (mldsaQ - 1) / p.gamma2Divisor
	m := p.gamma2Divisor / 2 // number of high parts
	bits := 4
	if m > 16 {
		bits = 6
	}
	var out []byte
	var acc uint32
	var have int
	for i, r := range w {
		// Decompose (Algorithm 36): r = high·2γ2 + low with -γ2 < low <= γ2,
		// where the last high part is the first one again.
		high := (r + gamma2 - 1) / (2 * gamma2)
		positive := r > high*2*gamma2
		if high %= m; hint[i] && positive {
			high = (high + 1) % m
		} else if hint[i] {
			high = (high + m - 1) % m
		}
		acc |= high << have
		for have += bits; have >= 8; have -= 8 {
			out = append(out, byte(acc))
			acc >>= 8
		}
	}
	return out
}
