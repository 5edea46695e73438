// Package guardgrpc protects a gRPC server with package guard: it verifies the
// access token in a call's metadata and lets the call through only with the
// scopes that its method needs.
//
//	gate, err := guardgrpc.New(guardgrpc.Config{
//		Guard:   g,
//		Methods: map[string]guard.Rule{"/orders.v1.Orders/List": {Scopes: []string{"orders:read"}}},
//		Public:  []string{"/grpc.health.v1.Health/Check"},
//	})
//	…
//	server := grpc.NewServer(gate.Options()...)
//
// A method that is not listed is closed. In a handler, guard.FromContext tells
// who calls. A stream ends when its token expires.
//
// It is a module of its own, so that an HTTP API does not get gRPC.
package guardgrpc
