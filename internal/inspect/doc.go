// Package inspect says what a token is, says and risks: the engine behind
// `gatehouse token inspect` and the page /inspect. It finds the token in
// whatever text was pasted, reads as much of it as can be read, says everything
// that a strict reader refuses, explains each claim in a sentence, and gives a
// verdict that is never better than what a key has proven.
//
// It is pure: no network, no clock, no files. Keys and the time come in, a
// Report goes out. What may be accepted is decided elsewhere, by jose and guard;
// a Report is for people.
package inspect
