// Package page owns what people see in a browser: html/template files, one
// stylesheet of design tokens, a small script and the messages of each
// language, embedded, behind typed view structs. It decides nothing about a
// request; a page gets values and shows them. It does decide what a page may
// show: text of strangers loses its control characters, and an address that
// could run code is refused.
package page
