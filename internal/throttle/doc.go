// Package throttle slows down guessing: it counts attempts in memory, in a
// fixed amount of it, and says how long the next one has to wait.
//
// Three things are counted. An account from one network: after a few attempts
// the wait doubles with each. A network across all accounts: a bucket that
// refills. An account across all networks: a much larger bucket, which does not
// bind a network that the account is known to log in from, so that strangers
// cannot lock its owner out. Nothing is ever refused for good.
//
// It does not know what is attempted, nor whether an account exists.
package throttle
