// Package login decides whether a person is who they say: passwords today,
// passkeys and one-time codes later. It owns the password rules, the hashing
// and the queue in front of it.
//
// It does not own users (directory), tokens (token) or pages.
package login
