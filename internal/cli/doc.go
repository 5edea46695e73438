// Package cli is the command line: one file for each command. A command reads
// its flags, calls one service and prints; data goes to standard output, talk
// and errors to standard error. No flag takes a secret.
package cli
