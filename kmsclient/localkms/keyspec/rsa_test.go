package keyspec

import (
	"crypto/rand"
	"math/big"
	"testing"
)

// An RSA key whose numbers agree, but whose factors are not two primes of half
// the length, passes crypto/rsa and is caught when it is imported.
func TestRSAFactorsAreChecked(t *testing.T) {
	prime := func(bits int) *big.Int {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	checked := 0
	for name, factors := range map[string]func() (p, q *big.Int){
		"unequal primes":     func() (p, q *big.Int) { return prime(1000), prime(1048) },
		"a composite factor": func() (p, q *big.Int) { return prime(1024), new(big.Int).Mul(prime(512), prime(512)) },
	} {
		for range 1000 { // until the modulus has its length
			p, q := factors()
			der, ok := rsaMaterial(t, p, q, 65537)
			if !ok {
				continue
			}
			if _, err := ParsePrivate(RSA2048, der); err != nil {
				t.Errorf("%s: parsing: %v", name, err)
			}
			if err := CheckMaterial(RSA2048, der); err != ErrMaterial {
				t.Errorf("%s: %v", name, err)
			}
			checked++
			break
		}
	}
	if checked != 2 {
		t.Errorf("%d keys checked", checked)
	}
}

func TestRSANumbersAreChecked(t *testing.T) {
	type numbers struct {
		Version               int
		N                     *big.Int
		E                     int
		D, P, Q, Dp, Dq, Qinv *big.Int
	}
	info, _ := decode[privateKeyInfo](material(t, RSA2048))
	good, ok := decode[numbers](info.PrivateKey)
	if !ok {
		t.Fatal("an RSA key does not decode")
	}
	add := func(x *big.Int, n int64) *big.Int { return new(big.Int).Add(x, big.NewInt(n)) }
	for name, edit := range map[string]func(*numbers){
		"version 1": func(n *numbers) { n.Version = 1 },
		"N":         func(n *numbers) { n.N = add(n.N, 2) },
		"-N":        func(n *numbers) { n.N = new(big.Int).Neg(n.N) },
		"E":         func(n *numbers) { n.E += 2 },
		"E = 1":     func(n *numbers) { n.E = 1 },
		"E = 0":     func(n *numbers) { n.E = 0 },
		"D":         func(n *numbers) { n.D = add(n.D, 2) },
		"D = 0":     func(n *numbers) { n.D = new(big.Int) },
		"P = 0":     func(n *numbers) { n.P = new(big.Int) },
		"P = Q":     func(n *numbers) { n.P = n.Q },
		"Dp":        func(n *numbers) { n.Dp = add(n.Dp, 2) },
		"Dq":        func(n *numbers) { n.Dq = add(n.Dq, 2) },
		"Qinv":      func(n *numbers) { n.Qinv = add(n.Qinv, 2) },
	} {
		edited := good
		edit(&edited)
		info.PrivateKey = encode(edited)
		if _, err := ParsePrivate(RSA2048, encode(info)); err != ErrMaterial {
			t.Errorf("RSA key with another %s: %v", name, err)
		}
	}
}

func TestRSAPublicNumbersAreChecked(t *testing.T) {
	type numbers struct {
		N *big.Int
		E int
	}
	type more struct {
		N    *big.Int
		E, X int
	}
	info, _ := decode[publicKeyInfo](private(t, RSA2048).Public().DER())
	good, ok := decode[numbers](info.PublicKey.Bytes)
	if !ok {
		t.Fatal("an RSA public key does not decode")
	}
	even := new(big.Int).SetBit(good.N, 0, 0)
	long := new(big.Int).SetBit(good.N, 2048, 1)
	for name, bits := range map[string][]byte{
		"an even modulus":      encode(numbers{even, good.E}),
		"a negative modulus":   encode(numbers{new(big.Int).Neg(good.N), good.E}),
		"a modulus of 2049":    encode(numbers{long, good.E}),
		"an even exponent":     encode(numbers{good.N, 65536}),
		"the exponent 1":       encode(numbers{good.N, 1}),
		"the exponent 0":       encode(numbers{good.N, 0}),
		"the exponent -1":      encode(numbers{good.N, -1}),
		"an exponent too long": encode(numbers{good.N, 1<<32 + 1}),
		"a third number":       encode(more{good.N, good.E, 1}),
	} {
		info.PublicKey = bitString(bits)
		if _, err := ParsePublic(encode(info)); err != ErrPublicKey {
			t.Errorf("RSA public key with %s: %v", name, err)
		}
	}
}
