// Package web has the endpoints for people: pages and the forms on them.
package web
