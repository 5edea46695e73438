package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/demo"
)

func (a *app) devCommand() *cobra.Command {
	options := demo.Options{Out: a.Out}
	verbose := false
	c := &cobra.Command{
		Use:   "dev",
		Short: "Start everything on this machine, to try it out",
		Long: `Start an authorization server, two web apps that sign users in with it, a demo
API that package guard protects, a gateway before an API that knows nothing of
tokens, an app behind a gateway that signs browsers in, and a demo service, on
this machine only, with two users and commands to paste. Every start has new random
secrets. The web apps answer under their own addresses only, as printed.`,
		Example: `  gatehouse dev
  gatehouse dev --data ./gatehouse-data
  gatehouse dev --listen localhost:0 --api-listen localhost:0 --json
  gatehouse dev --shop-listen localhost:9001 --parcels-listen 127.0.0.1:9002`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if verbose || options.JSON {
				level = slog.LevelInfo
			}
			options.Logger = slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: level}))
			return demo.Run(c.Context(), options)
		},
	}
	c.Flags().StringVar(&options.Listen, "listen", "", "address of the authorization server, loopback only, port 0 for a free one (default "+demo.DefaultListen+")")
	c.Flags().StringVar(&options.APIListen, "api-listen", "", "address of the demo API (default "+demo.DefaultAPIListen+")")
	c.Flags().StringVar(&options.ShopListen, "shop-listen", "", "address of the first web app (default "+demo.DefaultShopListen+", or a free port)")
	c.Flags().StringVar(&options.ParcelsListen, "parcels-listen", "", "address of the second web app (default "+demo.DefaultParcelsListen+", or a free port)")
	c.Flags().StringVar(&options.DeskListen, "desk-listen", "", "address of the app behind a gateway (default "+demo.DefaultDeskListen+", or a free port)")
	c.Flags().StringVar(&options.Data, "data", "", "data folder to keep (default: a temporary one, deleted at the end)")
	c.Flags().BoolVar(&options.JSON, "json", false, "print one line of JSON when ready; logs go to standard error")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log every refusal to standard error")
	return c
}
