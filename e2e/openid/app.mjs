// An app that signs its users in with OpenID Connect.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import * as oidc from "openid-client";

const issuer = new URL(process.env.ISSUER);
const execute = issuer.protocol === "http:" ? [oidc.allowInsecureRequests] : []; // gatehouse dev
const config = await oidc.discovery(issuer, process.env.CLIENT_ID, undefined, oidc.ClientSecretBasic(process.env.CLIENT_SECRET), { execute });
const home = "http://localhost:9001";
const pending = new Map(), users = new Map(); // by random cookie; yours is a database

const cookie = (request) => /(?:^|; )app=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
const go = (response, to, value) =>
  response.writeHead(303, { location: String(to), ...(value && { "set-cookie": `app=${value}; Path=/; HttpOnly; SameSite=Lax` }) }).end();

const pages = {
  async "GET /"(request, response) {
    const user = users.get(cookie(request));
    if (!user) return go(response, "/sign-in");
    response.end(`hello, ${user.name}\n`);
  },
  // State, nonce and PKCE verifier belong to the browser that asks.
  async "GET /sign-in"(request, response) {
    const verifier = oidc.randomPKCECodeVerifier();
    const checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() };
    const value = randomBytes(32).toString("base64url");
    pending.set(value, checks);
    go(response, oidc.buildAuthorizationUrl(config, {
      redirect_uri: `${home}/callback`, scope: "openid profile email", state: checks.expectedState, nonce: checks.expectedNonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
    }), value);
  },
  async "GET /callback"(request, response) {
    const checks = pending.get(cookie(request));
    pending.delete(cookie(request));
    if (!checks) return response.writeHead(400).end("this sign-in was not begun here\n");
    const tokens = await oidc.authorizationCodeGrant(config, new URL(request.url, home), checks); // state, iss, ID token, nonce
    const user = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    const value = randomBytes(32).toString("base64url"); // a new one: nobody can plant a session
    users.set(value, { ...user, hint: tokens.id_token });
    go(response, "/", value);
  },
  async "POST /sign-out"(request, response) {
    const user = users.get(cookie(request));
    users.delete(cookie(request));
    go(response, oidc.buildEndSessionUrl(config, { ...(user && { id_token_hint: user.hint }), post_logout_redirect_uri: `${home}/` }));
  },
};

createServer((request, response) => {
  const page = pages[`${request.method} ${new URL(request.url, home).pathname}`];
  if (!page) return response.writeHead(404).end();
  page(request, response).catch((error) => response.writeHead(403).end(`no sign-in: ${error.error ?? error.message}\n`));
}).listen(9001, "localhost");
