package guardgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guard/guardgrpc"
	"github.com/gatehouse-auth/gatehouse/guardtest"
)

const audience = "https://orders.example.com"

// orders is a service as protoc would generate it, written out. Its handlers
// count, so that a test sees whether a refused call reached one.
type orders struct {
	reached atomic.Int64
	ended   chan error // what a stream's handler saw at its end
}

type served interface{}

func (o *orders) who(ctx context.Context) *wrapperspb.StringValue {
	o.reached.Add(1)
	caller, ok := guard.FromContext(ctx)
	if !ok {
		return wrapperspb.String("nobody")
	}
	return wrapperspb.String(caller.Subject())
}

func (o *orders) unary(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(service any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(emptypb.Empty)
		if err := decode(in); err != nil {
			return nil, err
		}
		answer := func(ctx context.Context, _ any) (any, error) { return o.who(ctx), nil }
		if intercept == nil {
			return answer(ctx, in)
		}
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: service, FullMethod: "/orders.v1.Orders/" + name}, answer)
	}}
}

func (o *orders) desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: "orders.v1.Orders", HandlerType: (*served)(nil),
		Methods: []grpc.MethodDesc{o.unary("List"), o.unary("Delete"), o.unary("Ping"), o.unary("Forgotten")},
		Streams: []grpc.StreamDesc{
			// Watch sends who calls, and again each 20 ms until its context ends, which
			// it takes for a normal end.
			{StreamName: "Watch", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				if err := s.RecvMsg(new(emptypb.Empty)); err != nil {
					return err
				}
				for {
					if err := s.SendMsg(o.who(s.Context())); err != nil {
						o.ended <- err
						return err
					}
					select {
					case <-time.After(20 * time.Millisecond):
					case <-s.Context().Done():
						o.ended <- context.Cause(s.Context())
						return nil
					}
				}
			}},
			// Chat answers each message and waits for the next, for ever.
			{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				for {
					err := s.RecvMsg(new(emptypb.Empty))
					if errors.Is(err, io.EOF) {
						return nil
					}
					if err != nil {
						o.ended <- err
						return err
					}
					if err := s.SendMsg(o.who(s.Context())); err != nil {
						return err
					}
				}
			}},
		}}
}

// rules of the tests.
func rules() map[string]guard.Rule {
	return map[string]guard.Rule{
		"/orders.v1.Orders/List":   {Scopes: []string{"orders:read"}},
		"/orders.v1.Orders/Delete": {Scopes: []string{"orders:write"}, Roles: []string{"editor"}, ACR: "mfa"},
		"/orders.v1.Orders/Watch":  {Scopes: []string{"orders:read"}},
		"/orders.v1.Orders/Chat":   {},
	}
}

type fixture struct {
	*orders
	iss     *guardtest.Issuer
	conn    *grpc.ClientConn
	address string // of the server over TCP
}

// start serves behind a gate. Over TCP when tcp is set, else in memory.
func start(t *testing.T, tcp bool, g *guard.Guard, iss *guardtest.Issuer) *fixture {
	t.Helper()
	gate, err := guardgrpc.New(guardgrpc.Config{Guard: g, Methods: rules(), Public: []string{"/orders.v1.Orders/Ping"}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{orders: &orders{ended: make(chan error, 10)}, iss: iss}
	// Whatever no service answers reaches the stream interceptor too.
	unknown := grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return s.SendMsg(f.who(s.Context())) })
	server := grpc.NewServer(append(gate.Options(), unknown)...)
	server.RegisterService(f.desc(), f.orders)
	var listener net.Listener
	var target string
	var dialer func(context.Context, string) (net.Conn, error)
	if tcp {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		f.address = listener.Addr().String()
		target = f.address
		dialer = func(ctx context.Context, a string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", a)
		}
	} else {
		memory := bufconn.Listen(1 << 20)
		listener, target = memory, "passthrough:///memory"
		dialer = func(ctx context.Context, _ string) (net.Conn, error) { return memory.DialContext(ctx) }
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	if f.conn, err = grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dialer)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	return f
}

func newFixture(t *testing.T, tcp bool) *fixture {
	iss := guardtest.NewIssuer(t)
	return start(t, tcp, iss.Guard(t, audience), iss)
}

func with(t *testing.T, authorization ...string) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	for _, a := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", a)
	}
	return ctx
}

func (f *fixture) call(ctx context.Context, method string) (string, error) {
	out := new(wrapperspb.StringValue)
	err := f.conn.Invoke(ctx, method, new(emptypb.Empty), out)
	return out.Value, err
}

func TestCallsByMethod(t *testing.T) {
	for _, transport := range []string{"memory", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			f := newFixture(t, transport == "TCP")
			reader := "Bearer " + f.iss.Token(guardtest.Token{Subject: "ada", Scopes: []string{"orders:read"}})
			editor := guardtest.Token{Subject: "eve", Scopes: []string{"orders:write"}, Roles: []string{"editor"}, ACR: "mfa"}
			weak := editor
			weak.ACR = "pwd"
			roleless := editor
			roleless.Roles = nil
			for _, tc := range []struct {
				name          string
				method        string
				authorization []string
				code          codes.Code
				text          string
			}{
				{"a scope that is there", "List", []string{reader}, codes.OK, "ada"},
				{"all of a rule", "Delete", []string{"Bearer " + f.iss.Token(editor)}, codes.OK, "eve"},
				{"a scope that is not there", "Delete", []string{reader}, codes.PermissionDenied, "orders:write"},
				{"no role", "Delete", []string{"Bearer " + f.iss.Token(roleless)}, codes.PermissionDenied, "role"},
				{"a weak login", "Delete", []string{"Bearer " + f.iss.Token(weak)}, codes.PermissionDenied, "stronger login"},
				{"no token", "List", nil, codes.Unauthenticated, "no token"},
				{"expired", "List", []string{"Bearer " + f.iss.Token(guardtest.Token{Expires: -time.Hour, Scopes: []string{"orders:read"}})}, codes.Unauthenticated, "expired"},
				{"another audience", "List", []string{"Bearer " + f.iss.Token(guardtest.Token{Audience: "https://x.example.com"})}, codes.Unauthenticated, "audience"},
				{"a changed signature", "List", []string{reader[:len(reader)-6] + "AAAAAA"}, codes.Unauthenticated, "signature"},
				{"garbage", "List", []string{"Bearer x"}, codes.Unauthenticated, ""},
				{"another scheme", "List", []string{"Basic eDp5"}, codes.Unauthenticated, ""},
				{"two values", "List", []string{reader, reader}, codes.Unauthenticated, "more than one"},
				{"a bad value before a good one", "List", []string{"Bearer x", reader}, codes.Unauthenticated, "more than one"},
				{"a list", "List", []string{reader + "," + reader}, codes.Unauthenticated, "one token"},
				{"two spaces", "List", []string{"Bearer  " + reader[7:]}, codes.Unauthenticated, ""},
				{"public", "Ping", nil, codes.OK, "nobody"},
				{"public with a token", "Ping", []string{reader}, codes.OK, "nobody"},
				{"not listed", "Forgotten", []string{reader}, codes.PermissionDenied, "not open"},
				{"not listed, no token", "Forgotten", nil, codes.PermissionDenied, "not open"},
			} {
				before := f.reached.Load()
				who, err := f.call(with(t, tc.authorization...), "/orders.v1.Orders/"+tc.method)
				if status.Code(err) != tc.code || tc.code == codes.OK && who != tc.text || tc.code != codes.OK && !strings.Contains(err.Error(), tc.text) {
					t.Errorf("%s: %q %v, want %v %q", tc.name, who, err, tc.code, tc.text)
				}
				if reached := f.reached.Load() != before; reached != (tc.code == codes.OK) {
					t.Errorf("%s: the handler was reached: %v", tc.name, reached)
				}
			}
		})
	}
}

// Names that are not the listed ones, letter for letter, are closed, also to a
// server that answers unknown methods.
func TestT76MethodNames(t *testing.T) {
	f := newFixture(t, false)
	all := "Bearer " + f.iss.Token(guardtest.Token{Scopes: []string{"orders:read", "orders:write"}, Roles: []string{"editor"}, ACR: "phr"})
	for _, method := range []string{
		"/orders.v1.Orders/list", "/orders.v1.orders/List", "/orders.v1.Orders/List/", "//orders.v1.Orders/List", "/orders.v1.Orders//List", "/orders.v1.Orders/List?x=1",
		"/orders.v1.Orders/List%00", "/orders.v1.Orders/%4cist", "/./orders.v1.Orders/List", "/orders.v1.Orders/../orders.v1.Orders/Ping", "/x/orders.v1.Orders/Ping", "/orders.v1.Orders/Ping/List", "/orders.v1.Orders/Ping;List",
	} {
		for _, authorization := range [][]string{nil, {all}} {
			if who, err := f.call(with(t, authorization...), method); err == nil {
				t.Errorf("%s is open to %q", method, who)
			}
		}
	}
	if n := f.reached.Load(); n != 0 {
		t.Errorf("%d calls reached a handler", n)
	}
}

// CVE-2026-33186: a path without its leading slash, which no client library
// sends, must not lead around the rules.
func TestCVE202633186PathWithoutSlash(t *testing.T) {
	f := newFixture(t, true)
	for path, reaches := range map[string]bool{"/orders.v1.Orders/Ping": true, "orders.v1.Orders/Ping": false, "orders.v1.Orders/Forgotten": false, "orders.v1.Orders/List": false, "": false, "*": false} {
		before := f.reached.Load()
		rawCall(t, f.address, path)
		if reached := f.reached.Load() != before; reached != reaches {
			t.Errorf("path %q: the handler was reached: %v", path, reached)
		}
	}
}

// rawCall writes the frames of a call itself and waits for its end.
func rawCall(t *testing.T, address, path string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(c, c)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", address}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	err = errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}),
		framer.WriteData(1, true, []byte{0, 0, 0, 0, 0}))
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return // the server ended the connection: refused as well
		}
		if h := frame.Header(); h.StreamID == 1 && (h.Type == http2.FrameRSTStream || h.Flags.Has(http2.FlagHeadersEndStream) && h.Type == http2.FrameHeaders) {
			return
		}
	}
}

func (f *fixture) open(t *testing.T, method, authorization string) grpc.ClientStream {
	t.Helper()
	s, err := f.conn.NewStream(with(t, authorization), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		err = s.SendMsg(new(emptypb.Empty))
	}
	if errors.Is(err, io.EOF) {
		return s // refused already: RecvMsg says why
	}
	if err == nil && strings.HasSuffix(method, "/Watch") { // the client says one thing only
		err = s.CloseSend()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStreamsAreGuarded(t *testing.T) {
	f := newFixture(t, false)
	for name, tc := range map[string]struct {
		method, authorization string
		code                  codes.Code
	}{
		"no token":  {"/orders.v1.Orders/Watch", "", codes.Unauthenticated},
		"no scope":  {"/orders.v1.Orders/Watch", "Bearer " + f.iss.Token(guardtest.Token{}), codes.PermissionDenied},
		"a forgery": {"/orders.v1.Orders/Chat", "Bearer " + f.iss.Token(guardtest.Token{Claims: map[string]any{"exp": nil}}), codes.Unauthenticated},
	} {
		if err := f.open(t, tc.method, tc.authorization).RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f.reached.Load() != 0 {
		t.Error("a refused stream reached its handler")
	}
	s := f.open(t, "/orders.v1.Orders/Chat", "Bearer "+f.iss.Token(guardtest.Token{Subject: "ada"}))
	for range 3 {
		got := new(wrapperspb.StringValue)
		if err := s.RecvMsg(got); err != nil || got.Value != "ada" {
			t.Fatalf("got %q %v", got.Value, err)
		}
		if err := s.SendMsg(new(emptypb.Empty)); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseSend()
	for {
		if err := s.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("a stream that ends by itself: %v", err)
			}
			return
		}
	}
}

// A stream ends when its token does: one that sends, and one that waits for a
// client that says nothing.
func TestStreamsEndWithTheirToken(t *testing.T) {
	for name, method := range map[string]string{"a handler that sends": "/orders.v1.Orders/Watch", "a handler that waits": "/orders.v1.Orders/Chat"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			exp := time.Now().Add(2 * time.Second).Unix()
			s := f.open(t, method, "Bearer "+f.iss.Token(guardtest.Token{Subject: "ada", Scopes: []string{"orders:read"}, Claims: map[string]any{"exp": exp}}))
			messages := 0
			var err error
			for err == nil {
				if err = s.RecvMsg(new(wrapperspb.StringValue)); err == nil {
					messages++
				}
			}
			late := time.Since(time.Unix(exp, 0))
			if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "expired") || messages == 0 {
				t.Errorf("after %d messages: %v", messages, err)
			}
			if late < 0 || late > 2*time.Second {
				t.Errorf("it ended %s after the token", late)
			}
			select {
			case err := <-f.ended:
				if err == nil {
					t.Error("the handler saw no end")
				}
			case <-time.After(5 * time.Second):
				t.Error("the handler still runs")
			}
		})
	}
}

// A stream ends when its token is revoked, and only that one (C15).
func TestC15StreamsEndWhenTheirTokenIsRevoked(t *testing.T) {
	for name, method := range map[string]string{"a handler that sends": "/orders.v1.Orders/Watch", "a handler that waits": "/orders.v1.Orders/Chat"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			token := f.iss.Token(guardtest.Token{Subject: "ada", Scopes: []string{"orders:read"}})
			other := f.open(t, "/orders.v1.Orders/Chat", "Bearer "+f.iss.Token(guardtest.Token{Subject: "bob"}))
			s := f.open(t, method, "Bearer "+token)
			if err := s.RecvMsg(new(wrapperspb.StringValue)); err != nil {
				t.Fatal(err)
			}
			f.iss.Revoke(t, token)
			known := time.Now()
			var err error
			for err == nil {
				err = s.RecvMsg(new(wrapperspb.StringValue))
			}
			if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "revoked") || time.Since(known) > 2*time.Second {
				t.Errorf("after %s: %v", time.Since(known), err)
			}
			select {
			case err := <-f.ended:
				if err == nil {
					t.Error("the handler saw no end")
				}
			case <-time.After(5 * time.Second):
				t.Error("the handler still runs")
			}
			for range 2 {
				if err := other.SendMsg(new(emptypb.Empty)); err != nil {
					t.Fatal(err)
				}
				if err := other.RecvMsg(new(wrapperspb.StringValue)); err != nil {
					t.Errorf("the stream of another token: %v", err)
				}
			}
		})
	}
}

// Nothing is known about a token: Unavailable, so that clients try again and
// nobody is logged out.
func TestAnIssuerThatIsDownIsUnavailable(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	g, err := guard.New(guard.Config{Issuer: "http://127.0.0.1:1", Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	f := start(t, false, g, iss)
	if _, err := f.call(with(t, "Bearer "+iss.Token(guardtest.Token{Audience: audience})), "/orders.v1.Orders/List"); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	var none *guardgrpc.Gate
	if _, err := none.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/orders.v1.Orders/Ping"}, nil); status.Code(err) != codes.Unavailable {
		t.Errorf("a nil gate: %v", err)
	}
}

func TestNewReportsAllFaults(t *testing.T) {
	_, err := guardgrpc.New(guardgrpc.Config{})
	for _, fault := range []string{"Guard", "Methods"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s is not reported: %v", fault, err)
		}
	}
	g := guardtest.NewIssuer(t).Guard(t, audience)
	for _, bad := range []string{"", "/", "List", "orders.v1.Orders/List", "/orders.v1.Orders", "/orders.v1.Orders/", "//List", "/orders.v1.Orders/*", "/*/List", "/orders.v1.Orders/List/", "/orders..Orders/List", "/.Orders/List", "/orders.v1.Orders/List\n", "/orders v1/List", "/ördérs/List", "/orders.v1.Orders/%4cist"} {
		if _, err := guardgrpc.New(guardgrpc.Config{Guard: g, Methods: map[string]guard.Rule{bad: {}}}); err == nil {
			t.Errorf("method %q is taken", bad)
		}
		if _, err := guardgrpc.New(guardgrpc.Config{Guard: g, Public: []string{bad}}); err == nil {
			t.Errorf("public method %q is taken", bad)
		}
	}
	if _, err := guardgrpc.New(guardgrpc.Config{Guard: g, Methods: rules(), Public: []string{"/orders.v1.Orders/List"}}); err == nil {
		t.Error("a method with a rule was made public")
	}
	defer func() {
		if recover() == nil {
			t.Error("a rule that cannot be meant must panic")
		}
	}()
	guardgrpc.New(guardgrpc.Config{Guard: g, Methods: map[string]guard.Rule{"/a.B/C": {Scopes: []string{"a b"}}}})
}

func Example() {
	g, err := guard.New(guard.Config{Issuer: "https://auth.example.com", Audience: "https://orders.example.com"})
	if err != nil {
		panic(err)
	}
	defer g.Close()
	gate, err := guardgrpc.New(guardgrpc.Config{
		Guard:   g,
		Methods: map[string]guard.Rule{"/orders.v1.Orders/List": {Scopes: []string{"orders:read"}}},
		Public:  []string{"/grpc.health.v1.Health/Check"},
	})
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(gate.Options()...)
	server.Stop()
	// Output:
}
