// Package login decides whether a person is who they say: passwords today,
// passkeys and one-time codes later. It owns the password rules, the hashes of
// ours and of other systems, the queue in front of them, and what is counted
// for the throttle.
//
// It does not own users (directory), tokens (token) or pages.
package login
