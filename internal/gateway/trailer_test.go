package gateway_test

import (
	"bytes"
	"testing"
)

// Some servers take trailers for headers, so none may pass: neither those that a
// client announces nor others. The table's own check sees only forbidden names.
func TestT73NoTrailerReachesTheUpstream(t *testing.T) {
	h := newHouse(t, policyText, nil)
	const begin = "POST /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
	const end = "\r\n3\r\nabc\r\n0\r\nX-Checksum: abc\r\nX-User-Id: evil\r\n\r\n"
	for name, announced := range map[string]string{
		"announced":                    "Trailer: X-Checksum\r\n",
		"announced, an identity":       "Trailer: X-Checksum, X-User-Id\r\n",
		"announced, and in Connection": "Trailer: X-Checksum\r\nConnection: Trailer\r\n",
		"not announced":                "",
	} {
		// The control: straight to the upstream, the trailer that is announced arrives.
		send(t, h.upstream.address, begin+announced+end)
		if got := h.upstream.take(); len(got) != 1 || announced != "" && got[0].trailer.Get("X-Checksum") != "abc" {
			t.Fatalf("%s: without the gateway the upstream saw %+v", name, got)
		}
		answer := send(t, h.address, begin+announced+end)
		got := h.upstream.take()
		if len(got) != 1 || !bytes.Contains(answer, []byte(" 200 ")) {
			t.Fatalf("%s: upstream saw %d requests, client got %.200q", name, len(got), answer)
		}
		if len(got[0].trailer) != 0 || got[0].header["Trailer"] != nil || got[0].header["X-Checksum"] != nil {
			t.Errorf("%s: trailers reached the upstream: %v, headers %v", name, got[0].trailer, got[0].header)
		}
	}
}
