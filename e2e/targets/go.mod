module github.com/gatehouse-auth/gatehouse/e2e/targets

go 1.26.0

replace github.com/gatehouse-auth/gatehouse => ../..

require github.com/gatehouse-auth/gatehouse v0.0.0

require (
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
)
