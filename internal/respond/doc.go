// Package respond turns results and errors into HTTP answers: status, body,
// challenge headers, request id, security headers, and the check of the Host
// header. Only this package decides a status from an error; guard renders its
// own bearer refusals.
package respond
