package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"kmsfs/config"
	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/awskms"
	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/unlock"
)

// provider is an open KMS as the file system uses it.
type provider struct {
	kmsclient.KMS               // with retries
	tag           byte          // what recipients in headers say of it
	uri           config.KMSURI // as it was opened; of AWS with its region, whoever chose it
	close         func() error
	local         *localkms.Client // nil unless it is the embedded one
}

func (p *provider) Close() error { return p.close() }

// openProvider opens the KMS that u names; the caller closes it. unlocks are the
// directories of embedded KMS that wait for it to be unlocked.
func openProvider(s config.Settings, u config.KMSURI, unlocks ...string) (*provider, error) {
	if u.Scheme == config.SchemeAWS {
		return openAWS(u)
	}
	store, err := openLocal(s, u, localkms.Options{}, unlocks...)
	if err != nil {
		return nil, err
	}
	return localProvider(u, store), nil
}

// openAWS makes a client of AWS KMS. Nothing is asked of it yet: what is wrong
// with credentials or network, the first call tells.
func openAWS(u config.KMSURI) (*provider, error) {
	client, err := awskms.New(context.Background(), awskms.Options{Region: u.Region, Endpoint: u.Endpoint, Version: version})
	if err != nil {
		return nil, withHint(fmt.Errorf("%w: %w", errNoKMS, err),
			"region and profile come from --kms aws:REGION, AWS_REGION, AWS_PROFILE and the files below ~/.aws")
	}
	u.Region = client.Region()
	return &provider{KMS: client, tag: envelope.ProviderAWS, uri: u, close: client.Close}, nil
}

func localProvider(u config.KMSURI, store *localkms.Store) *provider {
	client := store.Client()
	return &provider{
		KMS:   kmsclient.NewRetry(client, kmsclient.RetryOptions{}),
		local: client,
		tag:   envelope.ProviderLocal,
		uri:   u,
		close: store.Close,
	}
}

// openLocal opens the embedded KMS that u names, and makes it if o.Create says so
// and it is not there. The settings say where its passphrase comes from; unlocks are
// those of openProvider.
func openLocal(s config.Settings, u config.KMSURI, o localkms.Options, unlocks ...string) (*localkms.Store, error) {
	dir, err := localDir(u)
	if err != nil {
		return nil, err
	}
	if err := unlock.Harden(); err != nil { // before any key is in memory
		return nil, err
	}
	o.Secrets = secrets(s, append(unlocks, dir)...)
	store, err := localkms.Open(dir, o)
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
		return "", withHint(usagef("KMS %s: this is for the embedded KMS only (local:)", u), "the command aws kms manages keys in AWS")
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
	kms, err := openProvider(s, uri)
	if err != nil {
		return nil, err
	}
	return &keyed{store, kms}, nil
}

// Close closes both.
func (d *keyed) Close() error { return errors.Join(d.kms.Close(), d.store.Close()) }
