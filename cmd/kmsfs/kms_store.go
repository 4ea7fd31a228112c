package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/unlock"
)

// unlockCommand is `kmsfs kms set-unlock`: how the root key is kept.
func (a *app) unlockCommand() *cobra.Command {
	var method, file, uri, key string
	cmd := &cobra.Command{
		Use:   "set-unlock",
		Short: "Show or change what unlocks the key store",
		Long: "Show or change what unlocks the key store: nothing but its files (key-file), a\n" +
			"passphrase, or a key of another KMS. Old copies of root.key, in backups too,\n" +
			"still open by the old method.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			dir, err := localDir(s.KMS)
			if err != nil {
				return err
			}
			var m unlock.Method
			switch unlock.Kind(method) {
			case "":
				kind, err := localkms.UnlockMethod(dir)
				if err != nil {
					return fmt.Errorf("%w: %w", errNoKMS, err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), kind)
				return nil
			case unlock.KindKeyFile:
				m = unlock.KeyFile{}
			case unlock.KindPassphrase:
				// asked for when the store is open
			case unlock.KindKMS:
				if uri == "" || key == "" {
					return usagef("--method kms needs --unlock-kms and --unlock-key")
				}
				m = unlock.KMS{URI: uri, Key: key, Open: openUnlockKMS(s, dir)}
			default:
				return usagef("--method %q: want key-file, passphrase or kms", method)
			}
			store, err := openLocal(s, s.KMS, localkms.Options{})
			if err != nil {
				return err
			}
			defer store.Close()
			if m == nil { // before the change, during which nobody can open the store
				p, err := newPassphrase(file)
				if err != nil {
					return fmt.Errorf("new passphrase: %w", err)
				}
				m = unlock.Passphrase{Ask: func() ([]byte, error) { return p, nil }}
			}
			return store.ChangeUnlock(cmd.Context(), m)
		},
	}
	f := cmd.Flags()
	f.StringVar(&method, "method", "", "`METHOD` from now on: key-file, passphrase or kms")
	f.StringVar(&file, "new-passphrase-file", "", "read the new passphrase from `FILE` instead of the terminal")
	f.StringVar(&uri, "unlock-kms", "", "`URI` of the other KMS: aws:[REGION] or local:DIR")
	f.StringVar(&key, "unlock-key", "", "`KEY` there that wraps the root key")
	return cmd
}

// backupCommand is `kmsfs kms backup`.
func (a *app) backupCommand() *cobra.Command {
	var withoutRoot bool
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the key store, as it is now, to a new directory",
		Long: "Copy the key store, as it is at one moment, to a new directory, while it is in\n" +
			"use. Whoever has kms.db and root.key has the keys, unless a passphrase or a KMS\n" +
			"protects root.key: with --without-root-key keep that file elsewhere.",
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			store, err := openLocal(s, s.KMS, localkms.Options{AllowLocked: true})
			if err != nil {
				return err
			}
			defer store.Close()
			return store.Backup(cmd.Context(), args[0], withoutRoot)
		},
	}
	cmd.Flags().BoolVar(&withoutRoot, "without-root-key", false, "leave root.key out of the backup")
	return cmd
}

// restoreCommand is `kmsfs kms restore`.
func (a *app) restoreCommand() *cobra.Command {
	var rootKey string
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make the key store that --kms names of a backup",
		Long: "Make the key store that --kms names, which must not exist, of a backup, after\n" +
			"checking it. What happened since the backup is not in it.",
		Args: exactArgs("BACKUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			dir, err := localDir(s.KMS)
			if err != nil {
				return err
			}
			return localkms.Restore(cmd.Context(), args[0], rootKey, dir, localkms.Options{Secrets: secrets(s)})
		},
	}
	cmd.Flags().StringVar(&rootKey, "root-key", "", "root.key is this `FILE`, not in the backup")
	return cmd
}
