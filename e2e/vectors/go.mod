module github.com/gatehouse-auth/gatehouse/e2e/vectors

go 1.26.4

require github.com/gatehouse-auth/gatehouse v0.0.0

require (
	github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1
)

replace github.com/gatehouse-auth/gatehouse => ../..
