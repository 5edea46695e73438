// Logins with openid-client: node login.mjs service, or node login.mjs user
import { once } from "node:events";
import { createServer } from "node:http";
import * as oidc from "openid-client";

const { ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env;
const issuer = new URL(ISSUER);
const options = issuer.protocol === "http:" ? { execute: [oidc.allowInsecureRequests] } : {}; // gatehouse dev

// [guide: service]
async function service() {
  const config = await oidc.discovery(issuer, CLIENT_ID, CLIENT_SECRET, undefined, options);
  const tokens = await oidc.clientCredentialsGrant(config, { scope: "orders:read" });
  return tokens.access_token;
}
// [end]

// [guide: user]
async function user() {
  const config = await oidc.discovery(issuer, CLIENT_ID, undefined, oidc.None(), options);
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const redirect_uri = `http://127.0.0.1:${listener.address().port}/cb`;
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri, scope: "openid orders:read orders:write", state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  });
  console.log("open", url.href);
  const [request, response] = await once(listener, "request");
  response.setHeader("Connection", "close").end("You are signed in. Close this window.\n");
  listener.close();
  const tokens = await oidc.authorizationCodeGrant(config, new URL(request.url, redirect_uri), { pkceCodeVerifier, expectedState, idTokenExpected: true });
  return tokens.access_token;
}
// [end]

console.log("token", await (process.argv[2] === "user" ? user() : service()));
