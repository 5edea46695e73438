package gateway

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"time"
)

// closeUnauthorized is what a WebSocket is closed with when its token ended: of
// the private range (RFC 6455 §7.4.2), after HTTP's 401.
const closeUnauthorized = 4401

// lingering is how long a closed WebSocket may answer before it is cut.
const lingering = time.Second

// grpcUnauthenticated is gRPC's UNAUTHENTICATED.
const grpcUnauthenticated = "16"

// soften lets a stream that is ended by the gateway end in its own language, so
// that the client learns that it needs a new token: a WebSocket by a close frame,
// gRPC by its status, server-sent events by an end. Anything else is cut off, as
// half an answer must not pass for a whole one.
func soften(r *http.Response) {
	ctx := r.Request.Context()
	kind := r.Header.Get("Content-Type")
	switch {
	case r.StatusCode == http.StatusSwitchingProtocols:
		if conn, ok := r.Body.(io.ReadWriteCloser); ok {
			r.Body = &socket{ReadWriteCloser: conn, ctx: ctx}
		}
	case strings.HasPrefix(kind, "application/grpc"):
		r.Body = &stream{ReadCloser: r.Body, ctx: ctx, end: func(why error) {
			r.Trailer = http.Header{"Grpc-Status": {grpcUnauthenticated}, "Grpc-Message": {why.Error()}}
		}}
	case strings.HasPrefix(kind, "text/event-stream"):
		r.Body = &stream{ReadCloser: r.Body, ctx: ctx, end: func(error) {}}
	}
}

// endedBy is why the gateway ended a request, nil where it did not.
func endedBy(ctx context.Context) error {
	switch why := context.Cause(ctx); why {
	case errTokenEnded, errTokenRevoked, errSessionEnded:
		return why
	}
	return nil
}

// stream is the body of an answer that ends well when the gateway ends it.
type stream struct {
	io.ReadCloser
	ctx context.Context
	end func(why error)
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		if why := endedBy(s.ctx); why != nil {
			s.end(why)
			return n, io.EOF
		}
	}
	return n, err
}

// socket is the upstream's side of a WebSocket. When the gateway ends it, the
// proxy closes it, and the client gets a last frame that says why.
type socket struct {
	io.ReadWriteCloser
	ctx    context.Context
	frames frames
	said   bool
}

// Read from the upstream, for the client.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	if n > 0 {
		s.frames.pass(p[:n])
		return n, nil
	}
	why := endedBy(s.ctx)
	switch {
	case why == nil || err == nil:
		return n, err
	case s.said:
		time.Sleep(lingering) // the client's answer ends it sooner
		return 0, err
	case s.frames.between():
		s.said = true
		return copy(p, closeFrame(closeUnauthorized, why.Error())), nil
	}
	return 0, err
}

// Write to the upstream, from the client. What comes after the end is dropped;
// an error would cut the client off before it has the last frame.
func (s *socket) Write(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(p)
	if err != nil && endedBy(s.ctx) != nil {
		return len(p), nil
	}
	return n, err
}

// closeFrame is a whole frame from a server (RFC 6455 §5.5.1); the reason has 123
// bytes at most.
func closeFrame(code uint16, reason string) []byte {
	reason = reason[:min(len(reason), 123)]
	f := []byte{0x88, byte(2 + len(reason))}
	return append(binary.BigEndian.AppendUint16(f, code), reason...)
}

// frames follows where frames begin and end (RFC 6455 §5.2), to know when one of
// ours may come between.
type frames struct {
	head []byte // of a frame, until it is whole
	left uint64 // of its payload
}

// pass looks at bytes that go by.
func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.head = append(f.head, p[0])
		p = p[1:]
		if n, ok := payload(f.head); ok {
			f.head, f.left = f.head[:0], n
		}
	}
}

// between tells whether no frame is under way.
func (f *frames) between() bool { return len(f.head) == 0 && f.left == 0 }

// payload is how many bytes follow a frame's head, false while that is not whole.
func payload(head []byte) (uint64, bool) {
	if len(head) < 2 {
		return 0, false
	}
	size, extended := uint64(head[1]&0x7f), 0
	switch size {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	mask := 0
	if head[1]&0x80 != 0 {
		mask = 4
	}
	if len(head) < 2+extended+mask {
		return 0, false
	}
	switch extended {
	case 2:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		size = binary.BigEndian.Uint64(head[2:])
	}
	return size, true
}
