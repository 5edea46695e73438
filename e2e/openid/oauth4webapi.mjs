// The same on oauth4webapi, where an app takes each step itself.
import { createInterface } from "node:readline";
import * as oauth from "oauth4webapi";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, POST_LOGOUT, SCOPE } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const http = { [oauth.allowInsecureRequests]: true };

async function browse(url) {
  console.log(JSON.stringify({ open: String(url) }));
  const end = (await lines.next()).value;
  return end ? new URL(end) : undefined;
}

function expect(what, holds) {
  if (!holds) throw new Error(`not as expected: ${what}`);
  console.log(JSON.stringify({ done: what }));
}

const issuer = new URL(ISSUER);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oidc", ...http }));
const client = { client_id: CLIENT_ID };
const auth = CLIENT_SECRET ? oauth.ClientSecretBasic(CLIENT_SECRET) : oauth.None();

const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState(), nonce = oauth.generateRandomNonce();
const request = new URL(as.authorization_endpoint);
request.search = new URLSearchParams({
  client_id: CLIENT_ID, redirect_uri: REDIRECT_URI, response_type: "code", scope: SCOPE, state, nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
});
const answer = oauth.validateAuthResponse(as, client, await browse(request), state);
const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, REDIRECT_URI, verifier, http);
const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, response, http);
const id = oauth.getValidatedIdTokenClaims(tokens);
expect("sign-in", id.sub.startsWith("usr_") && id.iss === ISSUER);

const user = await oauth.processUserInfoResponse(as, client, id.sub, await oauth.userInfoRequest(as, client, tokens.access_token, http));
expect("userinfo", user.email === "ada@example.com");
const next = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, http));
expect("refresh", next.access_token !== tokens.access_token);

const out = new URL(as.end_session_endpoint);
out.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: POST_LOGOUT });
expect("logout", (await browse(out)).href === POST_LOGOUT);
process.exit(0);
