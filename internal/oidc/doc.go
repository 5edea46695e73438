// Package oidc judges authorization requests: what a user must still do before
// one may be answered. It owns the rules of OpenID Connect about login, age of
// login, accounts and consent, as pure functions. It does not own the form of
// requests (oauth) nor the nouns (iam).
package oidc
