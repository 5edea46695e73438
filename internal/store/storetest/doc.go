// Package storetest is the conformance suite of the store: what every engine
// must do, run by the tests of each.
package storetest
