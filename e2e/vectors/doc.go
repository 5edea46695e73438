// Package vectors runs internal/jose over the test vectors of project
// Wycheproof. It is a module of its own so that the vectors stay out of the
// product's go.mod. It holds tests only.
package vectors
