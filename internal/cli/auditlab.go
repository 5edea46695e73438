package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

func (a *app) auditLab() *cobra.Command {
	var listen, data string
	c := &cobra.Command{
		Use: "lab", Short: "Start deliberately broken APIs on this machine, one flaw each", Args: cobra.NoArgs,
		Long: `Start deliberately broken APIs on this machine, one flaw each, with an issuer
that signs whatever it is told to: to learn what the auditor finds, and to show
it. The folder holds the issuer's keys and a valid token for each kind of key.`,
		Example: `  gatehouse audit lab --data ./lab
  gatehouse audit http://127.0.0.1:8090/algorithm-none/orders --lab ./lab`,
		RunE: func(c *cobra.Command, _ []string) error { return a.lab(c.Context(), listen, data) },
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "address, loopback only, port 0 for a free one")
	c.Flags().StringVar(&data, "data", "", "folder for keys and tokens (default: a temporary one, deleted at the end)")
	c.Flags().BoolVar(&a.json, "json", false, "print one line of JSON when ready")
	return c
}

func (a *app) lab(ctx context.Context, listen, data string) (err error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("%w. Choose another address with --listen", err)
	}
	defer listener.Close()
	if host, _, err := net.SplitHostPort(listener.Addr().String()); err != nil || !net.ParseIP(host).IsLoopback() {
		return usagef("the APIs of the lab are broken on purpose, so they listen on this machine only: use --listen 127.0.0.1:PORT")
	}
	if data == "" {
		if data, err = os.MkdirTemp("", "gatehouse-lab-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	}
	url := "http://" + listener.Addr().String()
	issuer, err := lab.NewIssuer(url, "https://orders.lab.invalid", jose.ES256, jose.RS256, jose.PS256, jose.EdDSA)
	if err != nil {
		return err
	}
	house, err := lab.NewHouse(issuer, lab.Flaws, rand.Text()+rand.Text())
	if err != nil {
		return err
	}
	if err := issuer.Save(data); err != nil {
		return fmt.Errorf("write the lab's folder: %w", err)
	}
	if err := writeTokens(house, data); err != nil {
		return err
	}
	if err := a.showLab(url, data); err != nil {
		return err
	}
	server := &http.Server{Handler: house, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// writeTokens writes one valid token for each kind of key, good for ten minutes.
func writeTokens(house *lab.House, dir string) error {
	for _, f := range lab.Flaws {
		raw, err := house.Token(f)
		if err != nil {
			return err
		}
		if f.Name != lab.Sound && f.Tokens() != "HS256" {
			continue
		}
		name := string(f.Tokens())
		if f.Tokens() == "HS256" {
			name = f.Slug()
		}
		if err := os.WriteFile(filepath.Join(dir, name+".jwt"), []byte(raw+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readyLab is the line of --json.
type readyLab struct {
	Ready bool       `json:"ready"`
	URL   string     `json:"url"`
	Data  string     `json:"data"`
	APIs  []readyAPI `json:"apis"`
}

type readyAPI struct {
	URL       string         `json:"url"`
	Flaw      string         `json:"flaw"`
	Algorithm jose.Algorithm `json:"alg"`
	Rows      string         `json:"rows"`
}

func (a *app) showLab(url, dir string) error {
	ready := readyLab{Ready: true, URL: url, Data: dir}
	rows := [][]string{}
	for _, f := range lab.Flaws {
		ready.APIs = append(ready.APIs, readyAPI{url + f.Path(), f.Name, f.Tokens(), f.Rows})
		rows = append(rows, []string{f.Path(), dash(f.Rows), f.Name})
	}
	if a.json {
		return json.NewEncoder(a.Out).Encode(ready)
	}
	fmt.Fprintf(a.Out, "%s   keys and tokens in %s\n\n", url, dir)
	if err := a.table(nil, []string{"PATH", "FOUND BY", "FLAW"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Out, "\nTry: gatehouse audit %s/algorithm-none/orders --lab %s\n", url, dir)
	return err
}
