// Package attack is the auditor: it sends a route of somebody's API every
// forged token of forge and every odd request of its own, compares the answers
// with those to the valid token and to none, and reports what was accepted.
//
// Baseline measures, oracle judges, shot and its sisters make what is sent,
// run sends it, report and its sisters write it down. It decides nothing about
// who may be attacked but refuses targets that are not this machine unless it
// is told that it may.
package attack
