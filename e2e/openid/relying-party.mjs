// An app on openid-client, which this project did not write. It knows the
// issuer's URL, its client id and its redirect URI; CLIENT_SECRET when it has
// one. Whatever a browser has to do it prints as {"open": URL}, and reads on
// standard input where the browser was sent in the end: nothing, when a page of
// the issuer is the end.
import { createInterface } from "node:readline";
import * as oidc from "openid-client";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, POST_LOGOUT, SCOPE } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function browse(url) {
  console.log(JSON.stringify({ open: String(url) }));
  const end = (await lines.next()).value;
  return end ? new URL(end) : undefined;
}

function expect(what, holds) {
  if (!holds) throw new Error(`not as expected: ${what}`);
  console.log(JSON.stringify({ done: what }));
}

async function refusal(what, promise, code) {
  const error = await promise.then(() => undefined, (e) => e);
  expect(`${what} is refused: ${error?.error ?? error}`, error?.error === code);
}

const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, undefined,
  CLIENT_SECRET ? oidc.ClientSecretBasic(CLIENT_SECRET) : oidc.None(), { execute: [oidc.allowInsecureRequests] });
oidc.enableNonRepudiationChecks(config); // the ID token's signature too

// Sign in, with everything that an app can check.
async function signIn(build, more = {}) {
  const verifier = oidc.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true };
  const url = await build(config, {
    redirect_uri: REDIRECT_URI, scope: SCOPE, state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...more,
  });
  return oidc.authorizationCodeGrant(config, await browse(url), checks);
}

const first = await signIn(oidc.buildAuthorizationUrl);
const id = first.claims();
expect("sign-in", id.iss === ISSUER && id.aud === CLIENT_ID && id.sub.startsWith("usr_") && id.acr === "pwd" && id.sid.startsWith("ses_"));

const user = await oidc.fetchUserInfo(config, first.access_token, id.sub);
expect("userinfo", user.name === "Ada Lovelace" && user.preferred_username === "ada" && user.email === "ada@example.com" && user.email_verified === true);

const second = await oidc.refreshTokenGrant(config, first.refresh_token);
expect("refresh", second.access_token !== first.access_token && second.refresh_token !== first.refresh_token && second.claims().sub === id.sub);

// The session stands: a second sign-in asks nobody. The request is pushed (RFC 9126).
if (CLIENT_SECRET) {
  const silent = await signIn(oidc.buildAuthorizationUrlWithPAR, { prompt: "none" });
  expect("pushed request, in silence", silent.claims().sid === id.sid);
  const about = await oidc.tokenIntrospection(config, silent.access_token);
  expect("introspection", about.active === true && about.client_id === CLIENT_ID && about.sub === id.sub);
  await oidc.tokenRevocation(config, silent.refresh_token);
  await refusal("a revoked refresh token", oidc.refreshTokenGrant(config, silent.refresh_token), "invalid_grant");
}
const again = await signIn(oidc.buildAuthorizationUrl, { prompt: "login" });
expect("sign-in again", again.claims().auth_time >= id.auth_time);

// A device without a browser (RFC 8628).
const device = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
console.log(JSON.stringify({ device: device.verification_uri, code: device.user_code }));
const onDevice = await oidc.pollDeviceAuthorizationGrant(config, device);
expect("device", onDevice.claims().sub === id.sub && onDevice.refresh_token !== undefined);

// Out: the session ends, and what belongs to it.
const session = again.claims().sid;
const back = POST_LOGOUT ? { post_logout_redirect_uri: POST_LOGOUT, state: "bye" } : {};
const bye = await browse(oidc.buildEndSessionUrl(config, { id_token_hint: again.id_token, ...back }));
expect("logout", bye?.href === (POST_LOGOUT ? `${POST_LOGOUT}?state=bye` : undefined));
await refusal(`a refresh token of ${session}`, oidc.refreshTokenGrant(config, again.refresh_token), "invalid_grant");
await refusal("a silent sign-in after the logout", signIn(oidc.buildAuthorizationUrl, { prompt: "none" }), "login_required");
process.exit(0);
