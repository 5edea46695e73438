// Package e2e uses Gatehouse as people do: the built binary, over HTTP and on
// a terminal. It is a module of its own, so that test tools stay out of the
// product's go.mod.
package e2e
