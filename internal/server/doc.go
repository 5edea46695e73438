// Package server wires an authority: it introduces services to the store and
// to each other, opens listeners and decides every lifetime. Nothing else does.
package server
