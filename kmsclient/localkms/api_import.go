package localkms

import (
	"context"
	"errors"
	"slices"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

const (
	importValidity = 24 * time.Hour // of an import token
	maxExpiry      = 365 * 24 * time.Hour
	modelExpires   = "KEY_MATERIAL_EXPIRES"
	importNew      = "NEW_KEY_MATERIAL"
)

// GetParametersForImport makes a key pair for material to be wrapped under on its
// way in, and a token that goes with it, valid for 24 hours.
func (a *API) GetParametersForImport(ctx context.Context, in GetParametersForImportInput) (GetParametersForImportOutput, error) {
	var private, public []byte
	var bad error
	wrapping, algorithm := keyspec.Spec(in.WrappingKeySpec), keyspec.Algorithm(in.WrappingAlgorithm)
	key := func(c *call) (*cmk, error) {
		c.fact("kms:wrappingalgorithm", in.WrappingAlgorithm)
		c.fact("kms:wrappingkeyspec", in.WrappingKeySpec)
		return c.importKey(in.KeyID)
	}
	if shape.Validate(&in) == nil && slices.Contains(keyspec.WrappingSpecs(), wrapping) {
		private, public, bad = a.generate(ctx, "GetParametersForImport", wrapping, func(c *call) error {
			_, err := key(c)
			return err
		})
		defer clear(private)
	}
	return do(ctx, a, "GetParametersForImport", &in, func(c *call) (out GetParametersForImportOutput, err error) {
		k, err := key(c)
		if err != nil {
			return out, err
		}
		if !slices.Contains(keyspec.Spec(k.spec).WrappingAlgorithms(wrapping), algorithm) {
			return out, refuse("UnsupportedOperationException", "Wrapping algorithm %s with wrapping key spec %s is not valid for key spec %s.",
				algorithm, wrapping, k.spec)
		}
		if c.w.store.locked {
			return out, errLocked
		}
		if bad != nil {
			return out, bad
		}
		token := &importToken{
			id: k.id, expires: c.now.Add(importValidity).UnixMilli(), region: k.region,
			spec: keyspec.Spec(k.spec), wrapping: wrapping, algorithm: algorithm, private: private,
		}
		return GetParametersForImportOutput{
			KeyID: c.arn(k), ImportToken: token.seal(c.w.store.root), PublicKey: public, ParametersValidTo: timestamp(token.expires),
		}, nil
	})
}

// importKey is managedKey for operations on imported material.
func (c *call) importKey(ref string) (*cmk, error) {
	k, err := c.managedKey(ref)
	if err == nil && k.origin != originExternal {
		err = refuse("UnsupportedOperationException", "%s origin is %s which is not valid for this operation.", c.arn(k), k.origin)
	}
	return k, err
}

// ImportKeyMaterial gives a key its material, gives it back what was deleted or
// has expired, or changes when that expires. A symmetric key may be given a
// further material, which waits for RotateKeyOnDemand; other keys have one for
// ever. A replica takes only what its primary key has been given.
//
// A key whose materials are all there again becomes Enabled, even if it was
// disabled before one of them went.
func (a *API) ImportKeyMaterial(ctx context.Context, in ImportKeyMaterialInput) (ImportKeyMaterialOutput, error) {
	if in.ExpirationModel == "" {
		in.ExpirationModel = modelExpires
	}
	opened := a.openImport(ctx, in.ImportToken, in.EncryptedKeyMaterial)
	defer clear(opened.material)
	return do(ctx, a, "ImportKeyMaterial", &in, func(c *call) (out ImportKeyMaterialOutput, err error) {
		c.fact("kms:expirationmodel", in.ExpirationModel)
		if in.ValidTo != nil {
			c.fact("kms:validto", in.ValidTo.UTC().Format(time.RFC3339))
		}
		k, err := c.importKey(in.KeyID)
		if err != nil {
			return out, err
		}
		if err := c.checkImport(k, &in, opened); err != nil {
			return out, err
		}
		m := c.w.store.root.nameMaterial(k.id, opened.material)
		place, err := c.place(k, &in, m.id)
		if err != nil {
			return out, err
		}
		if k.number == 0 {
			k.number, k.current = 1, m.id
		}
		k.public = opened.public
		if err := c.keep(k, m, place, &in); err != nil {
			return out, err
		}
		out.KeyID = c.arn(k)
		if k.symmetric() {
			c.note.material, out.KeyMaterialID = m.id, hexID(m.id)
		}
		return out, c.reconsider(k)
	})
}

// checkImport checks all that does not depend on what the key has been given.
func (c *call) checkImport(k *cmk, in *ImportKeyMaterialInput, opened *importing) error {
	expires := in.ExpirationModel == modelExpires
	switch {
	case expires && in.ValidTo == nil:
		return refuse("ValidationException", "A validTo date must be set if the ExpirationModel is %s", modelExpires)
	case !expires && in.ValidTo != nil:
		return refuse("ValidationException", "A validTo date cannot be set if the ExpirationModel is %s", in.ExpirationModel)
	case expires && !in.ValidTo.After(c.now):
		return refuse("ValidationException", "ValidTo must be in the future")
	case expires && in.ValidTo.After(c.now.Add(maxExpiry)):
		return refuse("ValidationException", "ValidTo must be at most 365 days in the future")
	case !k.symmetric() && (in.ImportType != "" || in.KeyMaterialDescription != "" || in.KeyMaterialID != ""):
		return refuse("UnsupportedOperationException",
			"ImportType, KeyMaterialDescription and KeyMaterialId are not valid for key spec %s.", k.spec)
	case in.ImportType == importNew && in.KeyMaterialID != "":
		return refuse("ValidationException", "KeyMaterialId cannot be specified with an ImportType of %s", importNew)
	case errors.Is(opened.err, errToken) || opened.token != nil && !opened.token.isFor(k):
		return refuse("InvalidImportTokenException", "The import token is not valid for %s.", c.arn(k))
	case opened.token != nil && opened.token.expires <= c.now.UnixMilli():
		return refuse("ExpiredImportTokenException", "The import token has expired.")
	case errors.Is(opened.err, keyspec.ErrDecrypt):
		return refuse("InvalidCiphertextException", "")
	case errors.Is(opened.err, keyspec.ErrMaterial):
		return refuse("IncorrectKeyMaterialException", "The key material is not valid for key spec %s.", k.spec)
	}
	return opened.err
}

func (t *importToken) isFor(k *cmk) bool { return t.id == k.id && t.region == k.region }

// knownMaterial is a material that a key has been given.
type knownMaterial struct {
	number int
	id     kmsclient.MaterialID
}

func (t *tx) knownMaterials(k *cmk) (known []knownMaterial, err error) {
	return known, t.each("SELECT number, id FROM material WHERE region = ? AND cmk = ? ORDER BY number", []any{k.region, k.id[:]},
		func(scan func(...any) error) error {
			var m knownMaterial
			var id []byte
			err := scan(&m.number, &id)
			copy(m.id[:], id)
			known = append(known, m)
			return err
		})
}

// place is the number that material of an id gets, or has.
func (c *call) place(k *cmk, in *ImportKeyMaterialInput, id kmsclient.MaterialID) (number int, err error) {
	known, err := c.knownMaterials(k)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(known, func(m knownMaterial) bool { return m.id == id })
	fresh := in.ImportType == importNew || in.ImportType == "" && len(known) == 0
	switch {
	case !fresh && (at < 0 || in.KeyMaterialID != "" && in.KeyMaterialID != hexID(id)):
		return 0, refuse("IncorrectKeyMaterialException", "The key material is not the one that was imported into %s before.", c.arn(k))
	case !fresh:
		return known[at].number, nil
	case k.multiRegionType() == "REPLICA":
		return 0, refuse("UnsupportedOperationException", "New key material cannot be imported into %s, which is a replica key.", c.arn(k))
	case at >= 0:
		return 0, refuse("IncorrectKeyMaterialException", "The key material is already associated with %s.", c.arn(k))
	case len(known) == 0:
		return 1, nil
	}
	last := known[len(known)-1]
	if last.number > k.number {
		return 0, refuse("KMSInvalidStateException",
			"New key material (id: %s) cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.",
			hexID(id), c.arn(k), hexID(last.id))
	}
	return last.number + 1, nil
}

// keep writes material at its place. Replicas get to know of new material, and
// wait for it.
func (c *call) keep(k *cmk, m *material, number int, in *ImportKeyMaterialInput) error {
	var expires int64
	if in.ValidTo != nil {
		expires = in.ValidTo.UnixMilli()
	}
	var known bool
	err := c.row("SELECT count(*) FROM material WHERE region = ? AND cmk = ? AND number = ?", []any{k.region, k.id[:], number}, []any{&known})
	if err != nil {
		return err
	}
	if known {
		return c.exec(`UPDATE material SET sealed = ?1, expires = ?2, description = iif(?3 = '', description, ?3)
				WHERE region = ?4 AND cmk = ?5 AND number = ?6`,
			m.seal(c.w.store.root, k), nullTime(expires), in.KeyMaterialDescription, k.region, k.id[:], number)
	}
	if err := c.addMaterial(k, m, materialRow{number: number, expires: expires, description: in.KeyMaterialDescription}); err != nil {
		return err
	}
	related, err := c.related(k)
	if err != nil {
		return err
	}
	for _, r := range related[1:] {
		if err := c.copyMaterials(k, r.region, number); err != nil {
			return err
		}
	}
	return nil
}
