module github.com/gatehouse-auth/gatehouse/guard/guardgrpc

go 1.26.0

replace github.com/gatehouse-auth/gatehouse => ../..

require (
	github.com/gatehouse-auth/gatehouse v0.0.0-00010101000000-000000000000
	golang.org/x/net v0.61.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)
