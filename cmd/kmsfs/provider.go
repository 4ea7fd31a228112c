package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"kmsfs/config"
	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// provider is an open KMS as the file system uses it.
type provider struct {
	kmsclient.KMS               // with retries
	tag           byte          // what recipients in headers say of it
	uri           config.KMSURI // as it was opened
	close         func() error
}

func (p *provider) Close() error { return p.close() }

// openProvider opens the KMS that u names; the caller closes it.
func openProvider(u config.KMSURI) (*provider, error) {
	store, err := openLocal(u, false)
	if err != nil {
		return nil, err
	}
	return localProvider(u, store), nil
}

func localProvider(u config.KMSURI, store *localkms.Store) *provider {
	return &provider{
		KMS:   kmsclient.NewRetry(store.Client(""), kmsclient.RetryOptions{}),
		tag:   envelope.ProviderLocal,
		uri:   u,
		close: store.Close,
	}
}

// openLocal opens the embedded KMS that u names, and makes it if create says so
// and it is not there.
func openLocal(u config.KMSURI, create bool) (*localkms.Store, error) {
	dir, err := localDir(u)
	if err != nil {
		return nil, err
	}
	store, err := localkms.Open(dir, localkms.Options{Create: create})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("%w: %w", errNoKMS, err),
			"--kms local:DIR names the directory of the key store; restore it from its backup if it is lost")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKMS, err)
	}
	return store, nil
}

// localDir is the directory of the embedded KMS that u names.
func localDir(u config.KMSURI) (string, error) {
	if u.Scheme != config.SchemeLocal {
		return "", usagef("KMS %s: this version of kmsfs has the embedded KMS only (local:)", u)
	}
	if u.Dir != "" {
		return u.Dir, nil
	}
	dir, err := config.DefaultKMSDir(os.Getenv)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoKMS, err)
	}
	return dir, nil
}

// chooseKMS gives the KMS of a cipher directory: the one its configuration
// names, unless the user overrides it for this call by flag or environment.
func chooseKMS(s config.Settings, c *envelope.Config) (config.KMSURI, error) {
	if s.From("kms") >= config.FromEnvironment {
		return s.KMS, nil
	}
	u, err := config.ParseKMSURI(c.KMS)
	if err != nil {
		return u, fmt.Errorf("configuration of the cipher directory: %w", err)
	}
	return u, nil
}

// keyed is an open cipher directory with the KMS that has its keys.
type keyed struct {
	store backing.Store
	kms   *provider
}

func openKeyed(s config.Settings, dir string, readOnly bool) (_ *keyed, err error) {
	store, err := openStore(dir, readOnly)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close()
		}
	}()
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return nil, inDir(dir, err)
	}
	uri, err := chooseKMS(s, cfg)
	if err != nil {
		return nil, err
	}
	kms, err := openProvider(uri)
	if err != nil {
		return nil, err
	}
	return &keyed{store, kms}, nil
}

// Close closes both.
func (d *keyed) Close() error { return errors.Join(d.kms.Close(), d.store.Close()) }
