package server_test

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// echo accepts and holds connections, and says "hello" on each.
func echo(t *testing.T, limits server.Limits) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	limited := server.Limit(l, limits, slog.New(slog.DiscardHandler))
	go func() {
		for {
			conn, err := limited.Accept()
			if err != nil {
				return
			}
			go func() {
				io.WriteString(conn, "hello")
				io.Copy(io.Discard, conn)
				conn.Close()
				conn.Close() // twice: room is made once
			}()
		}
	}()
	return l.Addr().String()
}

// dial tells whether a connection is taken.
func dial(t *testing.T, from, to string) (net.Conn, bool) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	conn, err := d.Dial("tcp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = io.ReadFull(conn, make([]byte, 5))
	return conn, err == nil
}

func TestConnectionsPerAddressAreLimited(t *testing.T) {
	address := echo(t, server.Limits{Connections: 100, PerAddress: 3})
	var held []net.Conn
	for i := range 3 {
		conn, ok := dial(t, "127.0.0.2", address)
		if !ok {
			t.Fatalf("connection %d is refused", i+1)
		}
		held = append(held, conn)
	}
	if _, ok := dial(t, "127.0.0.2", address); ok {
		t.Error("a fourth connection of one address is taken")
	}
	if _, ok := dial(t, "127.0.0.3", address); !ok {
		t.Error("another address suffers")
	}
	held[0].Close()
	deadline := time.Now().Add(5 * time.Second)
	for {
		if _, ok := dial(t, "127.0.0.2", address); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a closed connection makes no room")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, ok := dial(t, "127.0.0.2", address); ok {
		t.Error("one closed connection makes room for two")
	}
}

func TestConnectionsInTotalAreLimited(t *testing.T) {
	address := echo(t, server.Limits{Connections: 2, PerAddress: 1, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.2") }})
	for i := range 2 {
		if _, ok := dial(t, "127.0.0.2", address); !ok {
			t.Fatalf("connection %d of the proxy is refused", i+1)
		}
	}
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		if _, ok := dial(t, from, address); ok {
			t.Errorf("a third connection, from %s, is taken", from)
		}
	}
}
