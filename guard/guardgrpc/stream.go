package guardgrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-auth/gatehouse/guard"
)

var errExpired = status.Error(codes.Unauthenticated, "The token has expired, and the stream with it. Begin again with a new token.")

// errTokenExpired is the cause of a stream's context that ended with its token.
var errTokenExpired = errors.New("token has expired")

// stream is a ServerStream that ends with its token. At the `exp` of the token
// its context ends, a RecvMsg that waits returns, and nothing more is sent. A
// SendMsg that the client's flow control holds up is not interrupted: its
// message was handed over in time.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func bound(s grpc.ServerStream, caller guard.Caller) (*stream, context.CancelFunc) {
	ctx, end := context.WithDeadlineCause(guard.NewContext(s.Context(), caller), caller.Expires(), errTokenExpired)
	return &stream{ServerStream: s, ctx: ctx}, end
}

func (s *stream) expired() bool { return errors.Is(context.Cause(s.ctx), errTokenExpired) }

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) SendMsg(m any) error {
	if s.expired() {
		return errExpired
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg waits for a message or for the end of the token. A read that is left
// behind ends with the stream, which ends as soon as the handler returns.
func (s *stream) RecvMsg(m any) error {
	if s.expired() {
		return errExpired
	}
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-received:
		return err
	case <-s.ctx.Done():
	}
	if s.expired() {
		return errExpired
	}
	return <-received // the call itself ended, and with it the read
}
