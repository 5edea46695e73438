package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// Exit codes (C37).
const (
	exitOK            = 0
	exitFailure       = 1
	exitUsage         = 2
	exitVerdict       = 3
	exitNotAuthorized = 4
	exitNotMeasurable = 5
	exitUnreachable   = 6
	exitInterrupted   = 130
)

// Streams are where a command reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// app carries what all commands share.
type app struct {
	Streams
	config string
	data   string
	json   bool
}

// usage is a mistake in the command line.
type usage struct{ reason string }

func (e *usage) Error() string { return e.reason }

func usagef(format string, args ...any) error { return &usage{fmt.Sprintf(format, args...)} }

// Run executes one command line and returns its exit code.
func Run(ctx context.Context, args []string, streams Streams) int {
	a := &app{Streams: streams}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if verdict := (*badToken)(nil); errors.As(err, &verdict) {
		return exitVerdict
	}
	code := exitCode(ctx, err)
	if bad := (*negative)(nil); errors.As(err, &bad) {
		fmt.Fprintln(streams.Err, strings.TrimSpace(err.Error())) // a verdict is no error
		return code
	}
	fmt.Fprintf(streams.Err, "error: %s\n", strings.TrimSpace(err.Error()))
	if code == exitUsage {
		fmt.Fprintf(streams.Err, "See: %s --help\n", command.CommandPath())
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	var mistake *usage
	var devMistake *demo.Usage
	var invalid *iam.Invalid
	var owner *store.NotOwner
	var silent *unreachable
	var verdict *findings
	var bad *negative
	var vague *unmeasured
	var unasked *notAuthorized
	switch {
	case errors.As(err, &verdict):
		return exitVerdict
	case errors.As(err, &mistake), errors.As(err, &devMistake), errors.As(err, &invalid), fromCobra(err):
		return exitUsage
	case errors.As(err, &owner), errors.As(err, &unasked), errors.Is(err, os.ErrPermission):
		return exitNotAuthorized
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &bad):
		return exitVerdict
	case errors.As(err, &vague), errors.Is(err, gateway.ErrNotMeasurable):
		return exitNotMeasurable
	case errors.As(err, &silent), errors.Is(err, attack.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailure
}

// fromCobra recognises the errors of the command-line library, which have no
// type of their own.
func fromCobra(err error) bool {
	for _, begin := range []string{"unknown command", "unknown flag", "unknown shorthand", "flag needs an argument", "invalid argument", "required flag", "accepts ", "requires at least", "if any flags in the group", "at least one of the flags"} {
		if strings.HasPrefix(err.Error(), begin) {
			return true
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "Issue, check and test JSON Web Tokens",
		Long: `Gatehouse issues access tokens for your users and services, and protects
your APIs with them.

Begin with:  gatehouse dev`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Version:           version(),
	}
	root.SetVersionTemplate("gatehouse {{.Version}}\n")
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "test", Title: "Test:"}, &cobra.Group{ID: "admin", Title: "Administer, also while a server runs:"})
	for _, c := range []*cobra.Command{a.devCommand(), a.initCommand(), a.serveCommand(), a.gatewayCommand(), a.policyCommand(), a.themeCommand()} {
		c.GroupID = "run"
		root.AddCommand(c)
	}
	audit := a.auditCommand()
	audit.GroupID = "test"
	root.AddCommand(audit)
	for _, c := range []*cobra.Command{a.apiCommand(), a.roleCommand(), a.userCommand(), a.clientCommand(), a.serviceAccountCommand(), a.sessionCommand(), a.grantCommand(), a.keyCommand(), a.kekCommand(), a.setupCommand(), a.migrateCommand(), a.storeCommand()} {
		c.GroupID = "admin"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{a.tokenCommand(), a.feedCommand()} {
		c.GroupID = "test"
		root.AddCommand(c)
	}
	root.AddCommand(exitCodesTopic(), environmentTopic())
	return root
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: `Exit codes:

  0    ok
  1    failure
  2    usage: the command line or a value in it is wrong
  3    negative verdict (findings, an invalid token, denied)
  4    not authorized, such as another user's data folder
  5    not measurable
  6    unreachable
  130  interrupted`}
}

func environmentTopic() *cobra.Command {
	return &cobra.Command{Use: "environment", Short: "The environment variables that are read", Long: `Environment:

  GATEHOUSE_CONFIG  the configuration file, when --config is not given
  GATEHOUSE_DATA    the data folder, over the configuration file's
  GATEHOUSE_DATABASE  the address of PostgreSQL, over the configuration file's; with its password
  GATEHOUSE_LISTEN  the address of serve, over the configuration file's
  GOGC, GOMEMLIMIT  the collector; servers set their own unless these are set`}
}
