// Package gateway protects an API in any language: a reverse proxy and an
// endpoint for the forward authentication of other proxies, which decide by one
// policy (package policy) about tokens that package guard verified.
//
// It owns what reaches the upstream: the very request that was decided about,
// with identity headers that no client can write. It does not own the rules
// (policy), the tokens (guard) or the listeners (server).
package gateway
