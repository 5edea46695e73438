package respond

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

type addressKey struct{}

// Address is where a request comes from: the peer of the connection or, behind
// the proxy that the configuration names, what that proxy saw. The zero Addr
// when nobody knows.
func Address(r *http.Request) netip.Addr {
	if a, ok := r.Context().Value(addressKey{}).(netip.Addr); ok {
		return a
	}
	return peer(r)
}

func peer(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

// Proxied is for a server behind a proxy that terminates TLS. Requests from any
// other address are refused: they came in the clear, and what they say about
// the client would be believed. Health checks may come from anywhere.
func Proxied(proxies []netip.Prefix, h http.Handler) http.Handler {
	trusted := func(a netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !trusted(peer(r)) {
			if exempt(r) {
				h.ServeHTTP(w, r)
				return
			}
			JSON(w, http.StatusForbidden, refusal{Code: "access_denied", Description: "This server is reached through its proxy only.", RequestID: RequestID(r.Context())})
			return
		}
		if strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http") {
			JSON(w, http.StatusForbidden, refusal{Code: "access_denied", Description: "This server is reached by https only.", RequestID: RequestID(r.Context())})
			return
		}
		w.Header().Set("Strict-Transport-Security", strictTransport)
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, forwarded(r, trusted))))
	})
}

// forwarded is the last address of X-Forwarded-For that is not a proxy of ours.
// Everything before it is what the client itself wrote.
func forwarded(r *http.Request, trusted func(netip.Addr) bool) netip.Addr {
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	client := peer(r)
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return client
		}
		if client = a.Unmap().WithZone(""); !trusted(client) {
			return client
		}
	}
	return client
}
