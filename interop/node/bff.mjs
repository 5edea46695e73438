// A single-page app with a backend of its own (BFF): the page has a cookie, the
// tokens stay here.
import { randomBytes } from "node:crypto";
import express from "express";
import * as oidc from "openid-client";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, API, ORIGIN, PORT } = process.env;
const issuer = new URL(ISSUER);
const insecure = issuer.protocol === "http:"; // gatehouse dev
const config = await oidc.discovery(issuer, CLIENT_ID, CLIENT_SECRET, undefined, insecure ? { execute: [oidc.allowInsecureRequests] } : {});
const app = express();

// [guide: bff]
const sessions = new Map(); // in a database, if there is more than one process
const cookie = insecure ? "session" : "__Host-session";
const attributes = { httpOnly: true, secure: !insecure, sameSite: "lax", path: "/" };

function sessionOf(req) {
  const found = (req.get("cookie") ?? "").split("; ").find((pair) => pair.startsWith(`${cookie}=`));
  return found && sessions.get(found.slice(cookie.length + 1));
}

function begin(res, session) { // a new id with every step: one that somebody else planted is worth nothing
  const id = randomBytes(32).toString("base64url");
  sessions.set(id, session);
  res.cookie(cookie, id, attributes);
}

// What changes something has to come from our own pages. Browsers say where a request comes from.
app.use((req, res, next) => {
  const safe = req.method === "GET" || req.method === "HEAD";
  if (!safe && req.get("origin") !== ORIGIN) return res.sendStatus(403);
  next();
});

app.get("/login", async (req, res) => {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  begin(res, { login: { pkceCodeVerifier, expectedState, idTokenExpected: true } });
  res.redirect(oidc.buildAuthorizationUrl(config, {
    redirect_uri: `${ORIGIN}/callback`, scope: "openid orders:read orders:write", state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  }).href);
});

app.get("/callback", async (req, res) => {
  const session = sessionOf(req);
  if (!session?.login) return res.sendStatus(400);
  const { login } = session;
  delete session.login;
  try {
    const tokens = await oidc.authorizationCodeGrant(config, new URL(req.originalUrl, ORIGIN), login);
    begin(res, { tokens, expires: Date.now() + tokens.expiresIn() * 1000, name: tokens.claims().sub });
    res.redirect("/");
  } catch {
    res.status(400).send("The sign-in did not work. Try again.");
  }
});

app.post("/logout", async (req, res) => {
  const session = sessionOf(req);
  if (session?.tokens) {
    const { refresh_token } = session.tokens;
    delete session.tokens;
    await oidc.tokenRevocation(config, refresh_token);
  }
  res.clearCookie(cookie, attributes).sendStatus(204);
});

async function accessToken(session) {
  if (Date.now() > session.expires - 30_000) { // one refresh for all requests that wait
    session.refreshing ??= oidc.refreshTokenGrant(config, session.tokens.refresh_token)
      .then((tokens) => Object.assign(session, { tokens, expires: Date.now() + tokens.expiresIn() * 1000 }))
      .finally(() => { delete session.refreshing; });
    await session.refreshing;
  }
  return session.tokens.access_token;
}

// The page calls /api/…; the token is added on the way. Nothing else of the request is passed on.
app.all("/api/*path", async (req, res) => {
  const session = sessionOf(req);
  if (!session?.tokens) return res.sendStatus(401);
  const answer = await fetch(`${API}/${req.params.path.join("/")}`, { method: req.method, headers: { Authorization: `Bearer ${await accessToken(session)}` } });
  res.status(answer.status).type("json").send(await answer.text());
});
// [end]

app.get("/me", (req, res) => {
  const session = sessionOf(req);
  return session?.tokens ? res.json({ sub: session.name }) : res.sendStatus(401);
});
app.get("/", (req, res) => res.type("html").send("<!doctype html><title>Orders</title><script type=module src=/page.js></script>"));
app.get("/healthz", (req, res) => res.sendStatus(200));
app.listen(PORT, "127.0.0.1");
