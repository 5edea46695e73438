module github.com/gatehouse-auth/gatehouse/e2e

go 1.26.0

replace github.com/gatehouse-auth/gatehouse => ../

require (
	github.com/creack/pty v1.1.24
	github.com/rogpeppe/go-internal v1.16.0
)

require (
	golang.org/x/sys v0.26.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
