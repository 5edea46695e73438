// Package lab is a set of deliberately broken APIs, one flaw each, with an
// issuer of their own: to learn what the auditor finds, to show it, and to test
// that it finds each flaw and nothing else. It serves on loopback and signs
// whatever it is asked to, so nothing real may trust it (C9).
package lab
