package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/kmsserver"
	"kmsfs/kmsclient/localkms"
)

// serveCommand is `kmsfs kms serve`: the embedded KMS for the aws command and the
// SDKs.
func (a *app) serveCommand() *cobra.Command {
	var listen, cert, key string
	var o kmsserver.Options
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the AWS KMS API over HTTP",
		Long: "Serve the embedded KMS as AWS KMS does: HTTP, JSON, every request signed with an\n" +
			"access key (see create-user and create-access-key). Without a certificate only\n" +
			"on a loopback address. The certificate is read again when its file changes.\n" +
			"SIGTERM and SIGINT let the calls under way finish. Clients need\n" +
			"AWS_ENDPOINT_URL_KMS, AWS_REGION and the access key.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: s.LogLevel}))
			if (cert == "") != (key == "") {
				return usagef("--tls-cert and --tls-key go together")
			}
			if err := kmsserver.CheckListen(listen, cert != ""); err != nil {
				return usageError{err}
			}
			var config *tls.Config
			if cert != "" {
				if config, err = kmsserver.TLSConfig(cert, key, o.Log); err != nil {
					return err
				}
			}
			store, err := openLocal(s, s.KMS, localkms.Options{})
			if err != nil {
				return err
			}
			defer store.Close()
			l, err := kmsserver.Listen(cmd.Context(), listen, config)
			if err != nil {
				return err
			}
			scheme := "http"
			if config != nil {
				scheme = "https"
			}
			go store.Tend(cmd.Context(), time.Minute)
			// On stdout, so that a script learns a port chosen by the system (:0).
			fmt.Fprintf(cmd.OutOrStdout(), "%s://%s\n", scheme, l.Addr())
			return kmsserver.New(kmsserver.NewEngine(store), o).Serve(cmd.Context(), l)
		},
	}
	f := cmd.Flags()
	a.settings.AddFlags(f, "log-level")
	f.StringVar(&listen, "listen", "127.0.0.1:7600", "`HOST:PORT` to listen on")
	f.StringVar(&cert, "tls-cert", "", "certificate, a PEM `FILE`")
	f.StringVar(&key, "tls-key", "", "its private key, a PEM `FILE`")
	f.Float64Var(&o.Rate, "rate", 0, "throttle beyond `N` calls a second (default unlimited)")
	return cmd
}
