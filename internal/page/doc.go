// Package page owns what people see in a browser: html/template files and
// their one stylesheet, embedded, behind typed view structs. It decides
// nothing; a page gets values and shows them.
package page
