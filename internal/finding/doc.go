// Package finding is the one table of what can be wrong with a token or with
// whoever accepts one: id, title, severity, why it matters, how to fix it, and
// where a standard says so. The auditor and the inspector report by these ids,
// forge makes tokens for them, and the docs list them.
//
// The ids never change and are never given to something else:
//
//	T01 … T83  an attack: what an API accepted that it must refuse
//	C9         a rule of our own that attacks name
//	J01 …      what a token itself shows to whoever reads it
//	P01 …      what an API's answers show without any attack
//
// It finds nothing itself.
package finding
