package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func lockCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lock MOUNTPOINT",
		Short: "Drop all data keys of a mount now",
		Long: "Drop all data keys of a mount now, those of open files too: the next access asks\n" +
			"the KMS again. After disabling a key, this ends access at once instead of after\n" +
			"the time of --key-ttl.",
		Args: exactArgs("MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := mountAt(args[0])
			if err != nil {
				return err
			}
			_, err = ask(cmd.Context(), m.Source, "lock")
			if errors.Is(err, errNoMount) {
				return withHint(fmt.Errorf("%s: the process of this mount is gone", args[0]), "kmsfs umount "+args[0]+" removes what is left of it")
			}
			return err
		},
	}
}
