package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kmsfs/config"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// defaultKey is the CMK that init uses, and makes, when none is named.
const defaultKey = "alias/kmsfs"

func (a *app) initCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "init [flags] CIPHERDIR",
		Short: "Make a cipher directory",
		Long: "Make a cipher directory: a new or empty directory for ciphertext.\n" +
			"With nothing else given, its key is alias/kmsfs in the embedded KMS, which is\n" +
			"made if it is not there. In AWS no key is made: --kms aws:[REGION] wants --key.",
		Args: exactArgs("CIPHERDIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			made, err := initDirectory(cmd.Context(), s, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), made)
			}
			return made.print(cmd.OutOrStdout())
		},
	}
	a.settings.AddFlags(cmd.Flags(), "kms", "kms-passphrase-file", "key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// initResult is what init did.
type initResult struct {
	Dir      string `json:"cipher_directory"`
	FSID     string `json:"fs_id"`
	KMS      string `json:"kms"`
	KMSDir   string `json:"kms_directory,omitempty"` // of the embedded KMS
	KeyID    string `json:"key_id"`
	KeyIsNew bool   `json:"key_is_new"`
}

func (r *initResult) print(w io.Writer) error {
	what := "key"
	if r.KeyIsNew {
		what = "new key"
	}
	backUp := fmt.Sprintf("back up: %s (without this key store nothing opens) and, as often as your files, %s", r.KMSDir, r.Dir)
	if r.KMSDir == "" {
		backUp = fmt.Sprintf("back up: as often as your files, %s; without this key nothing opens", r.Dir)
	}
	_, err := fmt.Fprintf(w, "made the cipher directory %s\n%s: %s\n%s\n", r.Dir, what, r.KeyID, backUp)
	return err
}

func initDirectory(ctx context.Context, s config.Settings, path string) (*initResult, error) {
	dir, err := realPath(path)
	if err != nil {
		return nil, err
	}
	kmsDir, err := checkKMS(s, dir)
	if err != nil {
		return nil, err
	}
	created, err := makeEmpty(dir)
	if err != nil {
		return nil, err
	}
	r, err := initStore(ctx, s, dir)
	if err != nil && created {
		os.Remove(dir) // if it is still empty
	}
	if err != nil {
		return nil, err
	}
	r.KMSDir = kmsDir
	return r, nil
}

// checkKMS refuses a choice of KMS and key that cannot work. It gives the directory
// of the embedded KMS, if it is that.
func checkKMS(s config.Settings, dir string) (kmsDir string, err error) {
	if s.KMS.Scheme == config.SchemeAWS {
		if s.Key == "" {
			return "", withHint(usagef("--key is missing: kmsfs makes no keys in AWS"),
				"aws kms create-key makes a key; --key takes its id, ARN or alias/NAME")
		}
		return "", nil
	}
	if kmsDir, err = localDir(s.KMS); err != nil {
		return "", err
	}
	return kmsDir, apart(dir, kmsDir)
}

// apart refuses a key store inside the cipher directory, where a backup of the
// ciphertext would take the keys along, and the reverse.
func apart(dir, kmsDir string) error {
	real, err := realPath(kmsDir)
	if err != nil {
		return err
	}
	switch {
	case within(real, dir):
		return usagef("the key store %s would lie inside the cipher directory: keys and ciphertext belong apart", kmsDir)
	case within(dir, real):
		return usagef("the cipher directory would lie inside the key store %s: keys and ciphertext belong apart", kmsDir)
	}
	return nil
}

// makeEmpty makes the directory, or makes sure that it is an empty one.
func makeEmpty(dir string) (created bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
			return false, err
		}
		return true, os.Mkdir(dir, 0o700)
	case err != nil:
		return false, err
	case len(entries) > 0:
		if _, err := os.Lstat(filepath.Join(dir, "+kmsfs", "config.json")); err == nil {
			return false, withHint(fmt.Errorf("%s is a cipher directory already", dir), "kmsfs mount opens it")
		}
		return false, fmt.Errorf("%s: %w: it has %q", dir, cipherdir.ErrNotEmpty, entries[0].Name())
	}
	return false, nil
}

func initStore(ctx context.Context, s config.Settings, dir string) (*initResult, error) {
	p, key, isNew, err := initKey(ctx, s)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	store, err := backing.OpenOS(dir, false)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	c, err := cipherdir.Init(ctx, store, p, cipherdir.InitOptions{KMSURI: p.uri.String(), KeyID: key, Provider: p.tag})
	if err != nil {
		return nil, inDir(dir, err)
	}
	return &initResult{
		Dir: dir, FSID: fmt.Sprintf("%x", c.FSID), KMS: c.KMS, KeyID: c.Recipients[0].KeyID, KeyIsNew: isNew,
	}, nil
}

// initKey opens the KMS, with the key to use: the one that was named, or that of
// defaultKey in the embedded KMS, both made if they are not there.
func initKey(ctx context.Context, s config.Settings) (_ *provider, key string, isNew bool, err error) {
	if s.Key != "" {
		p, err := openProvider(s, s.KMS)
		return p, s.Key, false, err
	}
	store, err := openLocal(s, s.KMS, localkms.Options{Create: true})
	if err != nil {
		return nil, "", false, err
	}
	if key, isNew, err = ensureDefaultKey(ctx, store.Client()); err != nil {
		store.Close()
		return nil, "", false, err
	}
	return localProvider(s.KMS, store), key, isNew, nil
}

// ensureDefaultKey makes the key that defaultKey stands for, if there is none.
func ensureDefaultKey(ctx context.Context, kms *localkms.Client) (key string, isNew bool, err error) {
	_, err = kms.API.DescribeKey(ctx, localkms.DescribeKeyInput{KeyID: defaultKey})
	if !errors.Is(err, kmsclient.ErrNotFound) {
		return defaultKey, false, err
	}
	made, err := kms.CreateKey(ctx, localkms.CreateKeyInput{Description: "made by kmsfs init"})
	if err != nil {
		return "", false, err
	}
	_, err = kms.CreateAlias(ctx, localkms.CreateAliasInput{AliasName: defaultKey, TargetKeyID: made.KeyMetadata.KeyID})
	return defaultKey, true, err
}
