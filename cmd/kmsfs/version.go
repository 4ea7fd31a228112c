package main

import (
	"crypto/fips140"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, Go version and FIPS mode",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, map[string]any{
					"version": version, "commit": commit, "go": runtime.Version(), "fips": fips140.Enabled(),
					"os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			mode := "off"
			if fips140.Enabled() {
				mode = "on"
			}
			_, err := fmt.Fprintf(out, "kmsfs %s\ncommit: %s\ngo: %s %s/%s\nfips mode: %s\n",
				version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, mode)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
