package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

func newLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// streamer sends an event at once and then each 100 ms. On an upgraded connection
// it says who called in one frame, and echoes what comes; asked for /torn it sends
// half a frame.
func streamer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81%c%s", len(r.Header.Get("X-User-Id")), r.Header.Get("X-User-Id"))
		if strings.HasSuffix(r.URL.Path, "/torn") {
			both.WriteString("\x82\x7e\x01\x00half")
		}
		both.Flush()
		io.Copy(conn, both)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		if _, err := fmt.Fprintf(w, "data: %s\n\n", r.Header.Get("X-User-Id")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func streamHouse(t *testing.T, h2c bool) (*house, string) {
	t.Helper()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(streamer))
	upstream.Config.Protocols = &http.Protocols{}
	upstream.Config.Protocols.SetHTTP1(!h2c)
	upstream.Config.Protocols.SetUnencryptedHTTP2(h2c)
	upstream.Start()
	t.Cleanup(func() { upstream.CloseClientConnections(); upstream.Close() })
	h := newHouse(t, policyText, func(c *gateway.Config) {
		c.Upstream = upstream.URL
		if h2c {
			c.Upstream = strings.Replace(upstream.URL, "http:", "h2c:", 1)
		}
	})
	// Expired 28 s ago, and so good for two more: clocks may differ by 30 s.
	return h, h.issuer.Token(guardtest.Token{Subject: "usr_amy", Audience: audience, Scopes: []string{"orders:read"}, Expires: -28 * time.Second})
}

// Server-sent events pass as they come, and end with the token; so do those of
// an upstream that speaks HTTP/2 in the clear, as gRPC does.
func TestStreamsEndWithTheToken(t *testing.T) {
	for name, h2c := range map[string]bool{"HTTP/1.1": false, "h2c": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, token := streamHouse(t, h2c)
			r, _ := http.NewRequest("GET", h.url+"/orders/stream", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != 200 {
				t.Fatal(answer.Status)
			}
			began := time.Now()
			events := bufio.NewReader(answer.Body)
			if line, err := events.ReadString('\n'); line != "data: usr_amy\n" || time.Since(began) > time.Second {
				t.Errorf("first event %q after %s: %v", line, time.Since(began), err)
			}
			if _, err := io.Copy(io.Discard, events); err != nil {
				t.Errorf("the stream is torn, not ended: %v", err)
			}
			if lasted := time.Since(began); lasted > 8*time.Second {
				t.Errorf("the stream outlived its token by %s", lasted)
			}
		})
	}
}

// openSocket opens a WebSocket through the gateway by hand.
func openSocket(t *testing.T, h *house, path, token string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-User-Id: evil\r\nAuthorization: Bearer %s\r\n\r\n", path, token)
	answers := bufio.NewReader(conn)
	answer, err := http.ReadResponse(answers, nil)
	if err != nil || answer.StatusCode != 101 {
		t.Fatalf("%v %v", answer, err)
	}
	return conn, answers
}

// frame reads a short frame of a WebSocket.
func frame(t *testing.T, r io.Reader) (kind byte, text string) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatalf("no frame: %v", err)
	}
	body := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	return head[0], string(body)
}

func TestT78WebSocketPassesAndEndsWithTheToken(t *testing.T) {
	t.Parallel()
	h, token := streamHouse(t, false)
	conn, answers := openSocket(t, h, "/orders/socket", token)
	if _, who := frame(t, answers); who != "usr_amy" {
		t.Errorf("the upstream took the caller for %q", who)
	}
	io.WriteString(conn, "\x81\x04ping")
	if _, echo := frame(t, answers); echo != "ping" {
		t.Errorf("echo %q", echo)
	}
	began := time.Now()
	if kind, text := frame(t, answers); kind != 0x88 || text != "\x11\x31the token has expired" || time.Since(began) > 8*time.Second {
		t.Errorf("the last frame is %x %q after %s, want a close with 4401", kind, text, time.Since(began))
	}
	if _, err := answers.ReadByte(); err == nil {
		t.Error("open after the close frame")
	}
}

// A frame of ours amid one of the upstream's would be read as a part of that.
func TestT78TornFrameIsNotFollowed(t *testing.T) {
	t.Parallel()
	h, token := streamHouse(t, false)
	_, answers := openSocket(t, h, "/orders/torn", token)
	frame(t, answers)
	rest, _ := io.ReadAll(answers)
	if string(rest) != "\x82\x7e\x01\x00half" {
		t.Errorf("after the torn frame: %q", rest)
	}
}

// An upstream that cannot be reached is 502, one that is slow is 504.
func TestUpstreamTrouble(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	}))
	defer slow.Close()
	for address, want := range map[string]int{"http://" + freeAddress(t): 502, slow.URL: 504} {
		h := newHouse(t, policyText, func(c *gateway.Config) { c.Upstream, c.Timeout = address, 200*time.Millisecond })
		if status, _, body := h.do(t, "GET", "/orders/7", h.token); status != want || !strings.Contains(body, "request_id") {
			t.Errorf("%s: %d %s, want %d", address, status, body, want)
		}
	}
}
