// Package dial makes the HTTP client for URLs that strangers name: clients,
// registrations, documents (C34). The address is checked after the name is
// resolved and right before the connection is made, so that neither a public
// name for a private address nor a name that changes between two lookups gets
// through. What the operator configures is trusted and does not come here.
//
// It does not read what it fetches.
package dial
