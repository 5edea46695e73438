// Package directory changes who and what there is: users, roles, APIs, clients
// and service accounts. It checks, fills in defaults, says what a change ends
// (C14, C16) and what the journal records. The command line, the console and
// the admin API all go through it.
//
// It does not log anybody in and issues no tokens.
package directory
