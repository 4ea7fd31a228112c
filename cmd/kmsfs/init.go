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
			"made if it is not there.",
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
	a.settings.AddFlags(cmd.Flags(), "kms", "key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// initResult is what init did.
type initResult struct {
	Dir      string `json:"cipher_directory"`
	FSID     string `json:"fs_id"`
	KMS      string `json:"kms"`
	KMSDir   string `json:"kms_directory"`
	KeyID    string `json:"key_id"`
	KeyIsNew bool   `json:"key_is_new"`
}

func (r *initResult) print(w io.Writer) error {
	what := "key"
	if r.KeyIsNew {
		what = "new key"
	}
	_, err := fmt.Fprintf(w, "made the cipher directory %s\n%s: %s\n"+
		"back up: %s (without this key store nothing opens) and, as often as your files, %s\n",
		r.Dir, what, r.KeyID, r.KMSDir, r.Dir)
	return err
}

func initDirectory(ctx context.Context, s config.Settings, path string) (*initResult, error) {
	kmsDir, err := localDir(s.KMS)
	if err != nil {
		return nil, err
	}
	dir, err := realPath(path)
	if err != nil {
		return nil, err
	}
	if err := apart(dir, kmsDir); err != nil {
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
	kms, err := openLocal(s.KMS, s.Key == "")
	if err != nil {
		return nil, err
	}
	defer kms.Close()
	key, isNew := s.Key, false
	if key == "" {
		if key, isNew, err = ensureDefaultKey(ctx, kms.Client("")); err != nil {
			return nil, err
		}
	}
	store, err := backing.OpenOS(dir, false)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	p := localProvider(s.KMS, kms)
	c, err := cipherdir.Init(ctx, store, p, cipherdir.InitOptions{KMSURI: s.KMS.String(), KeyID: key, Provider: p.tag})
	if err != nil {
		return nil, inDir(dir, err)
	}
	return &initResult{
		Dir: dir, FSID: fmt.Sprintf("%x", c.FSID), KMS: c.KMS, KeyID: c.Recipients[0].KeyID, KeyIsNew: isNew,
	}, nil
}

// ensureDefaultKey makes the key that defaultKey stands for, if there is none.
func ensureDefaultKey(ctx context.Context, kms *localkms.Client) (key string, isNew bool, err error) {
	_, err = kms.API.DescribeKey(ctx, defaultKey)
	if !errors.Is(err, kmsclient.ErrNotFound) {
		return defaultKey, false, err
	}
	made, err := kms.CreateKey(ctx, localkms.CreateKeyInput{Description: "made by kmsfs init"})
	if err != nil {
		return "", false, err
	}
	return defaultKey, true, kms.CreateAlias(ctx, defaultKey, made.KeyMetadata.KeyID)
}
