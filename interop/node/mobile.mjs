// What a mobile app does (RFC 8252), without the phone: the system's browser is
// asked to open an address, and the system hands over the link that it ends on.
// AppAuth for iOS and Android do the same in Swift and Kotlin.
import { createInterface } from "node:readline";
import * as oidc from "openid-client";

const { ISSUER, CLIENT_ID, REDIRECT_URI } = process.env;
const issuer = new URL(ISSUER);
const options = issuer.protocol === "http:" ? { execute: [oidc.allowInsecureRequests] } : {}; // gatehouse dev
const links = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// What the phone gives to an app.
const system = {
  openBrowser: (url) => console.log("open", url.href), // ASWebAuthenticationSession, Custom Tabs; never a web view
  nextLink: async () => new URL((await links.next()).value), // a claimed https link, or the app's own scheme
  keychain: new Map(), // Keychain, or a key of the Android Keystore: not a file, not a backup
};

// [guide: mobile]
const config = await oidc.discovery(issuer, CLIENT_ID, undefined, oidc.None(), options);
let access; // access tokens stay in memory

async function signIn() {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  system.openBrowser(oidc.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI, scope: "openid offline_access orders:read", state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  }));
  // Any app can call a link. One with another state is not the answer: this throws, and nothing is sent.
  keep(await oidc.authorizationCodeGrant(config, await system.nextLink(), { pkceCodeVerifier, expectedState, idTokenExpected: true }));
}

// A refresh token is good for one use: the new one has to be kept before anything else is done.
function keep(tokens) {
  system.keychain.set("refresh_token", tokens.refresh_token);
  access = tokens.access_token;
}

let refreshing; // two requests at once must not spend the same refresh token
function refresh() {
  refreshing ??= oidc.refreshTokenGrant(config, system.keychain.get("refresh_token")).then(keep).finally(() => { refreshing = undefined; });
  return refreshing;
}

async function signOut() {
  await oidc.tokenRevocation(config, system.keychain.get("refresh_token"));
  system.keychain.delete("refresh_token");
  access = undefined;
}
// [end]

try {
  await signIn();
  console.log("token", access);
  await Promise.all([refresh(), refresh()]);
  console.log("refreshed", access);
  const last = system.keychain.get("refresh_token");
  await signOut();
  const answer = await oidc.refreshTokenGrant(config, last).catch((error) => error);
  console.log("after", answer.error ?? "a token");
} catch (error) {
  console.log("refused", error.error ?? error.code ?? error.message);
}
process.exit(0);
