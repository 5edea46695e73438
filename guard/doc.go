// Package guard protects an HTTP API with JSON Web Tokens: it verifies the
// access tokens of one issuer and lets a request through only with the scopes
// that its route needs.
//
//	g, err := guard.New(guard.Config{Issuer: "https://auth.example.com", Audience: "https://api.example.com"})
//	…
//	mux.Handle("GET /orders", g.Require("orders:read")(orders))
//
// Everything that can be forgotten is required or on by default: algorithm,
// type, issuer, audience and expiry are always checked, and there is no option
// to switch one of them off. Inside a handler, FromContext tells who calls.
//
// Tokens are RFC 9068 access tokens, or those of another product that a Profile
// names; answers follow RFC 6750. Keys are found by discovery and kept fresh in
// the background. Any makes one guard of several issuers' guards, Check serves
// other transports than HTTP; package guardgrpc does so for gRPC.
package guard
