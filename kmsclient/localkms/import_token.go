package localkms

import (
	"context"
	"encoding/binary"
	"errors"

	"kmsfs/kmsclient/localkms/keyspec"
)

const labelImport = "kmsfs kms 1 import token"

// importToken is what an ImportToken holds: all that ImportKeyMaterial needs to
// take material out of its wrapping. It goes out sealed under a key derived from
// the root key and comes back with the material, so the store keeps nothing of it
// in between, and a token serves until it expires.
type importToken struct {
	id        keyID
	expires   int64 // Unix milliseconds
	region    string
	spec      keyspec.Spec // of the CMK
	wrapping  keyspec.Spec
	algorithm keyspec.Algorithm
	private   []byte // of the wrapping key, PKCS #8
}

const importTokenVersion = 1

// bytes prints the token: version, key id, expiry, and, each with its length in
// front, Region, specs, algorithm and private key.
func (t *importToken) bytes() []byte {
	b := append([]byte{importTokenVersion}, t.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires))
	for _, s := range []string{t.region, string(t.spec), string(t.wrapping), string(t.algorithm)} {
		b = append(b, lengthPrefixed([]byte(s))...)
	}
	return append(b, lengthPrefixed(t.private)...)
}

// parseImportToken accepts exactly what bytes prints. The token aliases b.
func parseImportToken(b []byte) (t importToken, ok bool) {
	const fixed = 1 + 16 + 8
	if len(b) < fixed || b[0] != importTokenVersion {
		return t, false
	}
	t.id, t.expires = keyID(b[1:17]), int64(binary.BigEndian.Uint64(b[17:fixed]))
	b = b[fixed:]
	var parts [5][]byte
	for i := range parts {
		if len(b) < 4 {
			return t, false
		}
		n := uint64(binary.BigEndian.Uint32(b))
		if b = b[4:]; n > uint64(len(b)) {
			return t, false
		}
		parts[i], b = b[:n], b[n:]
	}
	t.region, t.private = string(parts[0]), parts[4]
	t.spec, t.wrapping, t.algorithm = keyspec.Spec(parts[1]), keyspec.Spec(parts[2]), keyspec.Algorithm(parts[3])
	return t, len(b) == 0
}

// seal makes the ImportToken.
func (t *importToken) seal(root rootKey) []byte {
	b := t.bytes()
	defer clear(b)
	return gcm(root.derive(labelImport)).Seal(nil, nil, b, nil)
}

var errToken = errors.New("not an import token of this store")

// importing is the material of an ImportKeyMaterial request, out of its wrapping.
type importing struct {
	token    *importToken // nil if it could not be read
	material []byte       // in its canonical form
	public   []byte
	err      error // errToken, or of package keyspec
}

// openImport takes material out of its wrapping before the transaction: that is
// RSA, and the check of an RSA key looks for its factors.
func (a *API) openImport(ctx context.Context, sealed, wrapped []byte) *importing {
	i := &importing{}
	if a.store.locked {
		i.err = errLocked
		return i
	}
	ended := a.store.computing.run(ctx, a.store, func() { i.open(a.store.root, sealed, wrapped) })
	i.err = errors.Join(ended, i.err)
	return i
}

func (i *importing) open(root rootKey, sealed, wrapped []byte) {
	b, err := gcm(root.derive(labelImport)).Open(nil, nil, sealed, nil)
	if err != nil {
		i.err = errToken
		return
	}
	defer clear(b)
	token, ok := parseImportToken(b)
	if !ok {
		i.err = errToken
		return
	}
	i.token = &token
	key, err := keyspec.ParsePrivate(i.token.wrapping, i.token.private)
	if err != nil {
		i.err = errToken
		return
	}
	defer key.Wipe()
	material, err := keyspec.UnwrapImport(i.token.algorithm, key, wrapped)
	if err != nil {
		i.err = err
		return
	}
	defer clear(material)
	if i.err = keyspec.CheckMaterial(i.token.spec, material); i.err != nil {
		return
	}
	p, err := keyspec.ParsePrivate(i.token.spec, material)
	if err != nil {
		i.err = err
		return
	}
	defer p.Wipe()
	i.material = p.Bytes() // so that the same key has the same KeyMaterialId however it is encoded
	if public := p.Public(); public != nil {
		i.public = public.DER()
	}
}
