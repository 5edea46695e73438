// Package demo is what `gatehouse dev` starts beside the authority: a demo API
// behind our own guard, a demo service that calls it with a token of its own,
// two users, header files to paste from, forged tokens, and the page that
// shows it all. Everything here is for one machine and for learning.
package demo
