// Package policy says who may call what: it reads a policy file, brings a
// request into the one form that is matched and forwarded, and decides. The
// gateway, forward-auth, `policy test` and `policy explain` all ask here, so
// that they cannot disagree.
//
// It is pure: bytes and values in, a decision out. It verifies no token, opens
// no file, knows no clock and forwards nothing.
package policy
