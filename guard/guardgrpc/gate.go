package guardgrpc

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// Config of a Gate. Guard and at least one method are required.
type Config struct {
	// Guard verifies the tokens. One made by guard.Any is as good.
	Guard *guard.Guard
	// Methods are the rules by full method name, "/package.Service/Method". The
	// zero Rule lets any valid token in.
	Methods map[string]guard.Rule
	// Public are the methods that need no token. A token that comes with such a
	// call is not looked at.
	Public []string
}

// Gate is the rules of a server as interceptors. Safe for concurrent use.
type Gate struct {
	guard  *guard.Guard
	checks map[string]check
	public map[string]bool
}

type check func(ctx context.Context, authorization []string) (guard.Caller, error)

// canonical is the one form in which a method is named: what protoc allows,
// with exactly two slashes. Names in any other form have led around rules
// (CVE-2026-33186).
var canonical = regexp.MustCompile(`^/[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/[A-Za-z_][A-Za-z0-9_]*$`)

// New checks the whole Config and reports all its faults at once. It does no
// I/O. Like guard's middlewares it panics on a Rule that cannot be meant.
func New(c Config) (*Gate, error) {
	gate := &Gate{guard: c.Guard, checks: map[string]check{}, public: map[string]bool{}}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("guardgrpc: "+format, args...)) }
	if c.Guard == nil {
		fault("Guard is required")
	}
	if len(c.Methods)+len(c.Public) == 0 {
		fault("Methods is empty, so no method could be called")
	}
	for name, rule := range c.Methods {
		if !canonical.MatchString(name) {
			fault("method %q is not of the form /package.Service/Method", name)
		}
		gate.checks[name] = c.Guard.Check(rule)
	}
	for _, name := range c.Public {
		if !canonical.MatchString(name) {
			fault("public method %q is not of the form /package.Service/Method", name)
		}
		if _, ruled := gate.checks[name]; ruled {
			fault("method %s has a rule and is public", name)
		}
		gate.public[name] = true
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return gate, nil
}

// Options are the two interceptors, to be given to grpc.NewServer first, so
// that no other interceptor sees a call that is refused.
func (g *Gate) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.Unary), grpc.ChainStreamInterceptor(g.Stream)}
}

// Unary is a grpc.UnaryServerInterceptor.
func (g *Gate) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	caller, err := g.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if caller != nil {
		ctx = guard.NewContext(ctx, *caller)
	}
	return handler(ctx, request)
}

// Stream is a grpc.StreamServerInterceptor.
func (g *Gate) Stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	caller, err := g.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	if caller == nil {
		return handler(service, stream)
	}
	bounded, end := bound(stream, g.guard, *caller)
	defer end()
	err = handler(service, bounded)
	if over := bounded.over(); over != nil {
		// Also when the handler took the end for a normal one: the client must not
		// believe that it has everything.
		return over
	}
	return err
}

// admit decides a call; no caller and no error means a public method. The name
// is compared as it came: whatever is not listed, letter for letter, is closed.
func (g *Gate) admit(ctx context.Context, method string) (*guard.Caller, error) {
	if g == nil {
		return nil, status.Error(codes.Unavailable, "This server is not configured to take calls.")
	}
	if g.public[method] {
		return nil, nil
	}
	check, ok := g.checks[method]
	if !ok {
		return nil, status.Error(codes.PermissionDenied, "This method is not open to anyone.")
	}
	var authorization []string
	if m, ok := metadata.FromIncomingContext(ctx); ok {
		authorization = m.Get("authorization")
	}
	caller, err := check(ctx, authorization)
	if err != nil {
		return nil, status.Error(codeOf(err), err.Error())
	}
	return &caller, nil
}

func codeOf(err error) codes.Code {
	switch {
	case errors.Is(err, guard.ErrUnavailable):
		return codes.Unavailable
	case errors.Is(err, guard.ErrForbidden):
		return codes.PermissionDenied
	}
	return codes.Unauthenticated
}
