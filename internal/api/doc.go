// Package api owns the machine endpoints of the authority: token, challenge,
// revocation, introspection, keys, discovery and health. A handler reads,
// calls one service and responds; rules live in oauth, decisions in services.
package api
