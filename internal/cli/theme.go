package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// findings are a verdict, not a failure (C37).
type findings struct{ err error }

func (f *findings) Error() string { return f.err.Error() }
func (f *findings) Unwrap() error { return f.err }

func (a *app) themeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "theme",
		Short: "How the pages look: make, see and check templates of your own",
		Long: `A theme is a folder that the configuration names:

  branding:
    product: Example
    logo: ./logo.svg
    accent: "#1c5fd4"
    templates: ./theme

It holds custom.css, and templates that replace ours, each named for its page.
Name, logo and colour need no folder.`,
		Example: `  gatehouse theme new ./theme login
  gatehouse theme preview ./theme
  gatehouse theme check ./theme`,
	}
	c.AddCommand(a.themeNew(), a.themeCheck(), a.themePreview())
	return c
}

func (a *app) themeNew() *cobra.Command {
	return &cobra.Command{
		Use:   "new DIR PAGE...",
		Short: "Copy templates of ours to begin with",
		Long:  "Copy the templates of the named pages into a folder, to be changed there. Nothing that exists is overwritten.",
		Example: `  gatehouse theme new ./theme login consent
  gatehouse theme new ./theme layout`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return a.newTheme(args[0], args[1:]) },
	}
}

func (a *app) newTheme(dir string, pages []string) error {
	sources, err := page.Sources()
	if err != nil {
		return err
	}
	for _, name := range pages {
		if sources[name] == "" {
			return usagef("there is no page %q. There are: %s", name, strings.Join(sorted(sources), ", "))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range pages {
		file := filepath.Join(dir, name+".html")
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(sources[name])
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintln(a.Out, file)
	}
	return nil
}

func sorted(sources map[string]string) []string {
	var names []string
	for name := range sources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (a *app) themeCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check DIR",
		Short: "Check a folder of templates as serve does",
		Long: `Check a folder of templates as serve does at its start: that each file is a page,
parses, names fields and messages that exist, keeps the fields and links that the
page works by, labels what people fill in, and needs nothing that the pages'
content security policy blocks. Each changed page is shown with every sample.

Exit code 3 when something is wrong.`,
		Example: `  gatehouse theme check ./theme
  gatehouse theme check ./theme --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.checkTheme(args[0]) },
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func (a *app) checkTheme(dir string) error {
	p, err := page.New(page.Config{Templates: dir, Host: previewHost})
	if err != nil {
		return &findings{err}
	}
	if a.json {
		return a.printJSON(map[string]any{"pages": append([]string{}, p.Overridden()...)})
	}
	if len(p.Overridden()) == 0 {
		fmt.Fprintln(a.Out, "Fine. No page is replaced.")
		return nil
	}
	fmt.Fprintf(a.Out, "Fine. Replaced or touched: %s.\n", strings.Join(p.Overridden(), ", "))
	return nil
}

// previewHost stands where the issuer's host will.
const previewHost = "auth.example.com"

func (a *app) themePreview() *cobra.Command {
	var c page.Config
	var listen string
	command := &cobra.Command{
		Use:   "preview [DIR]",
		Short: "Show every page with sample values, on this machine only",
		Long: `Show every page with sample values on an address of this machine. Files are read
again for each page, so a reload shows what you changed. Without a folder it
shows ours.`,
		Example: `  gatehouse theme preview ./theme
  gatehouse theme preview --product Example --accent "#0a6b4f" --logo logo.svg`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) == 1 {
				c.Templates = args[0]
			}
			return a.previewTheme(command, c, listen)
		},
	}
	c.Host = previewHost
	command.Flags().StringVar(&c.Product, "product", "", "the name above the pages")
	command.Flags().StringVar(&c.LogoFile, "logo", "", "the logo's file")
	command.Flags().StringVar(&c.Accent, "accent", "", "the colour of buttons and links")
	command.Flags().StringVar(&listen, "listen", "localhost:8089", "the address to answer on; loopback only")
	return command
}

func (a *app) previewTheme(command *cobra.Command, c page.Config, listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usagef("%q is not an address of this machine only, such as localhost:8089", listen)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := page.New(c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		p.Gallery().ServeHTTP(w, r)
	})}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "http://%s\nCtrl-C stops.\n", net.JoinHostPort(host, port))
	go func() {
		<-command.Context().Done()
		server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
