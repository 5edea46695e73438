package guardgrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// What a client is told whose stream ended with its token.
var (
	errExpired = status.Error(codes.Unauthenticated, "The token has expired, and the stream with it. Begin again with a new token.")
	errRevoked = status.Error(codes.Unauthenticated, "The token was revoked, and the stream ended with it.")
)

// stream is a ServerStream that ends with its token: at its `exp`, or when it is
// revoked. Then its context ends, a RecvMsg that waits returns, and nothing more
// is sent. A SendMsg that the client's flow control holds up is not interrupted:
// its message was handed over in time.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func bound(s grpc.ServerStream, g *guard.Guard, caller guard.Caller) (*stream, context.CancelFunc) {
	ctx, end := g.Watch(guard.NewContext(s.Context(), caller), caller)
	return &stream{ServerStream: s, ctx: ctx}, end
}

// over is why the stream ended with its token, nil while it has not.
func (s *stream) over() error {
	switch cause := context.Cause(s.ctx); {
	case errors.Is(cause, guard.ErrExpired):
		return errExpired
	case errors.Is(cause, guard.ErrInvalid):
		return errRevoked
	}
	return nil
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) SendMsg(m any) error {
	if err := s.over(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg waits for a message or for the end of the token. A read that is left
// behind ends with the stream, which ends as soon as the handler returns.
func (s *stream) RecvMsg(m any) error {
	if err := s.over(); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-received:
		return err
	case <-s.ctx.Done():
	}
	if err := s.over(); err != nil {
		return err
	}
	return <-received // the call itself ended, and with it the read
}
