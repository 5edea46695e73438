// Command skewed is `gatehouse serve` on a machine whose clock is wrong, for
// tests: GATEHOUSE_SKEW=-1h. The product has no such switch.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

func main() {
	if err := run(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, "skewed:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	skew, err := time.ParseDuration(os.Getenv("GATEHOUSE_SKEW"))
	if err != nil {
		return err
	}
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	raw, err := settings.KeyEncryptionKey.Read(ctx)
	if err != nil {
		return err
	}
	kek, err := keys.NewKEK(raw)
	if err != nil {
		return err
	}
	password, err := settings.Password(ctx)
	if err != nil {
		return err
	}
	parts, err := server.Assemble(ctx, server.Config{
		Issuer: settings.Issuer, Dir: settings.Data, Database: settings.Database, DatabasePassword: password, KEKs: []keys.KEK{kek}, PublishAhead: keys.DefaultPublishAhead,
		Now: func() time.Time { return time.Now().Add(skew) }, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	defer parts.Close()
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return err
	}
	return parts.Run(ctx, listener)
}
