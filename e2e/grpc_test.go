package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatehouse-auth/gatehouse/guardtest"
)

// The service behind the gateway: one call and one stream in both directions,
// without generated code.
var chatService = grpc.ServiceDesc{
	ServiceName: "chat.v1.Chat",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in wrapperspb.StringValue
		if err := decode(&in); err != nil {
			return nil, err
		}
		return say(ctx, in.Value)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		s.SetTrailer(metadata.Pairs("x-last", "talked"))
		for {
			var in wrapperspb.StringValue
			if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.SendMsg(wrapperspb.String(caller(s.Context()) + ": " + in.Value)); err != nil {
				return err
			}
		}
	}}},
}

// cancelled hears how calls end that wait for their client.
var cancelled = make(chan error, 8)

func say(ctx context.Context, what string) (any, error) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-last", "said", "x-bin-bin", "\x00\xff"))
	switch what {
	case "wait":
		select {
		case <-ctx.Done():
			cancelled <- ctx.Err()
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-time.After(20 * time.Second):
			cancelled <- nil
		}
	case "fail":
		return nil, status.Error(codes.FailedPrecondition, "not today, 100 %")
	case "deadline":
		until, ok := ctx.Deadline()
		if !ok {
			return wrapperspb.String("none"), nil
		}
		return wrapperspb.String(time.Until(until).Round(time.Minute).String()), nil
	}
	return wrapperspb.String(caller(ctx) + ": " + what), nil
}

// caller is who calls, by the headers of the gateway alone.
func caller(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	who := strings.Join(md.Get("x-user-id"), "+")
	if len(md.Get("authorization")) > 0 {
		who += " with a token"
	}
	return who
}

// gRPC through the gateway, in the clear and with TLS on both sides: calls,
// streams, trailers, errors, deadlines and cancellation are the upstream's, and
// what the gateway refuses has the code that gRPC has for it.
func TestGRPCThroughTheGateway(t *testing.T) {
	issuer := guardtest.NewIssuer(t)
	const audience = "https://api.example.com"
	dir := t.TempDir()
	cert, key := certificateFor(t, dir)
	for name, secure := range map[string]bool{"h2c": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			upstream := startChat(t, secure, cert, key)
			scheme, args := "h2c://", []string(nil)
			if secure {
				scheme, args = "https://", []string{"--tls-cert", cert, "--tls-key", key}
			}
			policy := filepath.Join(t.TempDir(), "policy.yaml")
			text := "version: 1\ntokens: [{ issuer: " + issuer.URL() + ", audience: " + audience + " }]\nupstream: " + scheme + upstream + "\nidentity_headers: { X-User-Id: token.sub }\nroutes:\n  - POST /chat.v1.Chat/*: { scope: chat }\n"
			text = strings.Replace(text, "/chat.v1.Chat/*", "/chat.v1.Chat/{method}", 1)
			if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("SSL_CERT_FILE", cert)
			url, _, stop, _ := startGateway(t, append(args, "--policy", policy)...)
			defer stop()
			_, address, _ := strings.Cut(url, "://")
			transport := insecure.NewCredentials()
			if secure {
				transport = credentials.NewTLS(&tls.Config{RootCAs: pool(t, cert), ServerName: "localhost"})
			}
			conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			patient, enough := context.WithTimeout(t.Context(), 15*time.Second)
			defer enough()
			carrying := func(token string) context.Context {
				return metadata.AppendToOutgoingContext(patient, "authorization", "Bearer "+token, "x-user-id", "evil")
			}
			with := func(spec guardtest.Token) context.Context {
				spec.Subject, spec.Audience = "usr_amy", audience
				return carrying(issuer.Token(spec))
			}
			amy := with(guardtest.Token{Scopes: []string{"chat"}})
			var out wrapperspb.StringValue
			call := func(ctx context.Context, method, what string, options ...grpc.CallOption) error {
				return conn.Invoke(ctx, "/chat.v1.Chat/"+method, wrapperspb.String(what), &out, options...)
			}

			var trailer metadata.MD
			if err := call(amy, "Say", "hello", grpc.Trailer(&trailer)); err != nil || out.Value != "usr_amy: hello" {
				t.Errorf("%q %v", out.Value, err)
			}
			if strings.Join(trailer.Get("x-last"), "") != "said" || strings.Join(trailer.Get("x-bin-bin"), "") != "\x00\xff" {
				t.Errorf("trailers %v", trailer)
			}
			if err := call(amy, "Say", "fail", grpc.Trailer(&trailer)); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "not today, 100 %" || len(trailer.Get("x-last")) != 1 {
				t.Errorf("the upstream's error: %v %v", err, trailer)
			}

			for name, row := range map[string]struct {
				ctx  context.Context
				path string
				want codes.Code
			}{
				"no token":       {patient, "Say", codes.Unauthenticated},
				"expired":        {with(guardtest.Token{Scopes: []string{"chat"}, Expires: -time.Hour}), "Say", codes.Unauthenticated},
				"scope":          {with(guardtest.Token{Scopes: []string{"other"}}), "Say", codes.PermissionDenied},
				"no route":       {amy, "Say/more", codes.PermissionDenied},
				"unknown method": {amy, "Shout", codes.Unimplemented}, // the upstream's answer
				"two readings":   {amy, "%2e%2e", codes.Internal},
			} {
				if err := call(row.ctx, row.path, "x"); status.Code(err) != row.want {
					t.Errorf("%s: %v, want %s", name, err, row.want)
				}
			}

			talk, err := conn.NewStream(amy, &chatService.Streams[0], "/chat.v1.Chat/Talk")
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"one", "two", "three"} { // each answered before the next
				if err := talk.SendMsg(wrapperspb.String(word)); err != nil {
					t.Fatal(err)
				}
				if err := talk.RecvMsg(&out); err != nil || out.Value != "usr_amy: "+word {
					t.Fatalf("%q %v", out.Value, err)
				}
			}
			if err := errors.Join(talk.CloseSend(), talk.RecvMsg(&out)); !errors.Is(err, io.EOF) || strings.Join(talk.Trailer().Get("x-last"), "") != "talked" {
				t.Errorf("end of the stream: %v %v", err, talk.Trailer())
			}

			// A deadline is the upstream's as well, and so is a client that leaves.
			hours, cancel := context.WithTimeout(context.WithoutCancel(amy), 3*time.Hour)
			defer cancel()
			if err := call(hours, "Say", "deadline"); err != nil || out.Value != "3h0m0s" {
				t.Errorf("the upstream's deadline is %q: %v", out.Value, err)
			}
			short, cancel := context.WithTimeout(amy, 300*time.Millisecond)
			defer cancel()
			if err := call(short, "Say", "wait"); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("after the deadline: %v", err)
			}
			leaving, leave := context.WithCancel(amy)
			time.AfterFunc(200*time.Millisecond, leave)
			if err := call(leaving, "Say", "wait"); status.Code(err) != codes.Canceled {
				t.Errorf("after leaving: %v", err)
			}
			for range 2 {
				select {
				case err := <-cancelled:
					if err == nil {
						t.Error("the upstream went on")
					}
				case <-time.After(5 * time.Second):
					t.Error("the upstream does not hear that its client is gone")
				}
			}

			// Good for two more seconds: clocks may differ by 30.
			talk, err = conn.NewStream(with(guardtest.Token{Scopes: []string{"chat"}, Expires: -28 * time.Second}), &chatService.Streams[0], "/chat.v1.Chat/Talk")
			if err == nil {
				err = errors.Join(talk.SendMsg(wrapperspb.String("one")), talk.RecvMsg(&out))
			}
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := talk.RecvMsg(&out); status.Code(err) != codes.Unauthenticated || status.Convert(err).Message() != "the token has expired" || time.Since(began) > 8*time.Second {
				t.Errorf("a stream whose token ended: %v after %s", err, time.Since(began))
			}

			doomed := issuer.Token(guardtest.Token{Subject: "usr_amy", Audience: audience, Scopes: []string{"chat"}})
			talk, err = conn.NewStream(carrying(doomed), &chatService.Streams[0], "/chat.v1.Chat/Talk")
			if err == nil {
				err = errors.Join(talk.SendMsg(wrapperspb.String("one")), talk.RecvMsg(&out))
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			began = time.Now()
			issuer.Revoke(t, doomed)
			if err := talk.RecvMsg(&out); status.Code(err) != codes.Unauthenticated || status.Convert(err).Message() != "the token was revoked" || time.Since(began) > 3*time.Second {
				t.Errorf("a stream whose token was revoked: %v after %s", err, time.Since(began))
			}
		})
	}
}

func startChat(t *testing.T, secure bool, cert, key string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	if secure {
		c, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&c)))
	}
	s := grpc.NewServer(options...)
	s.RegisterService(&chatService, nil)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}
