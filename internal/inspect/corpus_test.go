package inspect_test

import "strings"

// shape is a token as a product of the field makes it: names and forms are
// theirs, values are made up here.
type shape struct {
	token, kind, maker, secret string
	hidden                     []string // values that a report must not show
}

// signed puts a signature of the right length behind a header and a payload.
// Nobody has its key, so nothing can verify it.
func signed(header, payload string, bytes int) string {
	signature := []byte(strings.Repeat("\x5a\xc3\x17", bytes/3+1))[:bytes]
	return b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64(signature)
}

func corpus() map[string]shape {
	const rsaBytes, ecBytes = 256, 64
	return map[string]shape{
		"guide":             {token: guide, secret: guideSecret, hidden: []string{"John Doe", "1234567890"}},
		"guide-without-key": {token: guide, hidden: []string{"John Doe"}},
		"gatehouse-access": {kind: "access", maker: "Gatehouse", hidden: []string{"usr_7Qm2", "gr_5d0c1e"}, token: signed(`{"alg":"ES256","kid":"kR1x","typ":"at+jwt"}`,
			`{"iss":"https://id.example.com","sub":"usr_7Qm2Zk41vXb9","aud":"https://api.example.com","exp":1795608600,"iat":1795608000,"jti":"tok_0Qm2Zk41vXb9","client_id":"shop","scope":"orders:read orders:write","roles":["viewer"],"gid":"gr_5d0c1eab77","ue":3,"ce":1,"auth_time":1795600000,"acr":"pwd","amr":["pwd"],"sid":"ses_91Qm2Zk41v"}`, ecBytes)},
		"entra-access": {kind: "access", maker: "Microsoft Entra ID", hidden: []string{"grace.hopper", "203.0.113.7"}, token: signed(`{"typ":"JWT","alg":"RS256","x5t":"q-23faux","kid":"q-23faux"}`,
			`{"aud":"api://11111111-2222-3333-4444-555555555555","iss":"https://sts.windows.net/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/","iat":1795607700,"nbf":1795607700,"exp":1795612500,"acr":"1","aio":"AXQAi/8TAAAAfake","amr":["pwd","mfa"],"appid":"99999999-8888-7777-6666-555555555555","appidacr":"0","family_name":"Hopper","given_name":"Grace","ipaddr":"203.0.113.7","name":"Grace Hopper","oid":"12121212-3434-5656-7878-909090909090","rh":"0.AAAAfake.","scp":"Orders.Read User.ReadWrite.All","sub":"mMmMmMfakefakefakefake","tid":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","unique_name":"grace.hopper@corp.example.com","upn":"grace.hopper@corp.example.com","uti":"fakefakefake","ver":"1.0","wids":["62e90394-69f5-4237-9190-012177145e10"]}`, rsaBytes)},
		"auth0-access": {kind: "access", maker: "Auth0", hidden: []string{"auth0|650f"}, token: signed(`{"alg":"RS256","typ":"JWT","kid":"pSp4mad3Up"}`,
			`{"iss":"https://acme.eu.auth0.com/","sub":"auth0|650fake650fake650","aud":["https://api.acme.example","https://acme.eu.auth0.com/userinfo"],"iat":1795600000,"exp":1795686400,"azp":"m4d3UpCl13nt","scope":"openid profile read:orders","permissions":["read:orders","admin:users"],"gty":"password"}`, rsaBytes)},
		"keycloak-access": {kind: "access", maker: "Keycloak", hidden: []string{"ada@example.org", "Lovelace"}, token: signed(`{"alg":"RS256","typ":"JWT","kid":"m4d3-up-kid"}`,
			`{"exp":1795608300,"iat":1795608000,"auth_time":1795607990,"jti":"onrtac:7c1e0000-fake","iss":"https://sso.example.org/realms/acme","aud":"account","sub":"0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e","typ":"Bearer","azp":"web","sid":"5f5f5f5f-fake-sid","acr":"1","allowed-origins":["https://app.example.org"],"realm_access":{"roles":["offline_access","realm-admin"]},"resource_access":{"account":{"roles":["view-profile"]}},"scope":"openid email profile","email_verified":false,"name":"Ada Lovelace","preferred_username":"ada","given_name":"Ada","family_name":"Lovelace","email":"ada@example.org"}`, rsaBytes)},
		"cognito-access": {kind: "access", maker: "Amazon Cognito", hidden: []string{"b1b2c3d4-fake"}, token: signed(`{"kid":"m4d3UpK1d=","alg":"RS256"}`,
			`{"sub":"b1b2c3d4-fake-4f4f-9a9a-0c0c0c0c0c0c","cognito:groups":["eu-west-1_Pool_Admins"],"iss":"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_M4d3Up","version":2,"client_id":"m4d3upclient","origin_jti":"77777777-fake","token_use":"access","scope":"openid orders/read","auth_time":1795607000,"exp":1795610600,"iat":1795607000,"jti":"88888888-fake","username":"b1b2c3d4-fake-4f4f-9a9a-0c0c0c0c0c0c"}`, rsaBytes)},
		"cognito-id": {kind: "id", maker: "Amazon Cognito", hidden: []string{"ada@example.org"}, token: signed(`{"kid":"m4d3UpK1d=","alg":"RS256"}`,
			`{"at_hash":"fakefakefake","sub":"b1b2c3d4-fake","email_verified":true,"iss":"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_M4d3Up","cognito:username":"ada","custom:tier":"gold","aud":"m4d3upclient","token_use":"id","auth_time":1795607000,"exp":1795610600,"iat":1795607000,"email":"ada@example.org"}`, rsaBytes)},
		"okta-access": {kind: "access", maker: "Okta", hidden: []string{"ada@example.org", "00u1fake"}, token: signed(`{"kid":"m4d3-Up-0kt4","alg":"RS256"}`,
			`{"ver":1,"jti":"AT.fakefakefakefake","iss":"https://acme.okta.com/oauth2/default","aud":"api://default","iat":1795607000,"exp":1795610600,"cid":"0oa1fake","uid":"00u1fake1fake1fake1","scp":["openid","orders"],"auth_time":1795606000,"sub":"ada@example.org"}`, rsaBytes)},
		"firebase-id": {kind: "id", maker: "Firebase", hidden: []string{"ada@example.org", "Lovelace"}, token: signed(`{"alg":"RS256","kid":"m4d3up","typ":"JWT"}`,
			`{"name":"Ada Lovelace","picture":"https://img.example.org/ada.png","iss":"https://securetoken.google.com/acme-app","aud":"acme-app","auth_time":1795600000,"user_id":"u1fake1fake1fake1fake","sub":"u1fake1fake1fake1fake","iat":1795607000,"exp":1795610600,"email":"ada@example.org","email_verified":false,"firebase":{"identities":{"email":["ada@example.org"]},"sign_in_provider":"password"}}`, rsaBytes)},
		"kubernetes-pod": {kind: "access", maker: "Kubernetes", hidden: []string{"system:serviceaccount:shop:orders"}, token: signed(`{"alg":"RS256","kid":"m4d3up"}`,
			`{"aud":["https://kubernetes.default.svc.cluster.local"],"exp":1827144000,"iat":1795608000,"iss":"https://kubernetes.default.svc.cluster.local","jti":"99999999-fake-jti","kubernetes.io":{"namespace":"shop","node":{"name":"node-1"},"pod":{"name":"orders-5c9f"},"serviceaccount":{"name":"orders"},"warnafter":1795611607},"nbf":1795608000,"sub":"system:serviceaccount:shop:orders"}`, rsaBytes)},
		"logout": {kind: "logout", hidden: []string{"usr_7Qm2"}, token: signed(`{"alg":"ES256","kid":"k1","typ":"logout+jwt"}`,
			`{"iss":"https://id.example.com","sub":"usr_7Qm2Zk41vXb9","aud":"shop","iat":1795608000,"exp":1795608120,"jti":"lo_1fakefakefakefake","events":{"http://schemas.openid.net/event/backchannel-logout":{}},"sid":"ses_91Qm2Zk41v"}`, ecBytes)},
		"dpop-proof": {kind: "dpop", token: signed(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"fake","y":"fake"}}`,
			`{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://id.example.com/oauth/token","iat":1795608000}`, ecBytes)},
		"attacks": {kind: "access", hidden: []string{"hunter2", "4111 1111"}, token: signed(`{"alg":"RS256","kid":"../../../../dev/null","jku":"https://evil.example/jwks.json","x5u":"https://evil.example/c.pem","jwk":{"kty":"RSA"},"crit":["exp"],"typ":"JWT"}`,
			`{"iss":"http://id.example.com","sub":"x","aud":["*","https://api.example.com"],"exp":1795608000000,"iat":1795700000,"scope":"*","db":{"password":"hunter2"},"note":"4111 1111 1111 1111","cnf":{"jkt":"0ZcOfake"}}`, rsaBytes)},
	}
}
