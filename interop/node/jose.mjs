// An API with jose, in Express.
import express from "express";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const { ISSUER, AUDIENCE, PORT } = process.env;

// [guide: verify]
// The set is kept for ten minutes. A kid that is not in it is looked for at once,
// unless the set was fetched within the last 30 seconds.
const keys = createRemoteJWKSet(new URL(`${ISSUER}/.well-known/jwks.json`), { cooldownDuration: 30_000, timeoutDuration: 5000 });

async function verify(token) {
  // typ, algorithms and requiredClaims are not checked unless they are named.
  const { payload } = await jwtVerify(token, keys, {
    issuer: ISSUER, audience: AUDIENCE, typ: "at+jwt", algorithms: ["ES256"], requiredClaims: ["exp", "sub", "scope"], clockTolerance: 30,
  });
  // jose checks that they are there, not what kind of value they are.
  if (typeof payload.sub !== "string" || typeof payload.scope !== "string") throw new errors.JWTInvalid("a claim is not a string");
  return payload;
}

const require = (scope) => async (req, res, next) => {
  try {
    const [scheme, token] = (req.get("authorization") ?? "").split(" ");
    if (scheme.toLowerCase() !== "bearer" || !token) return res.set("WWW-Authenticate", "Bearer").sendStatus(401);
    req.caller = await verify(token);
  } catch (error) {
    if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) return next(error); // no keys: our fault, not the token's
    return res.set("WWW-Authenticate", 'Bearer error="invalid_token"').sendStatus(401);
  }
  if (!req.caller.scope.split(" ").includes(scope)) {
    return res.set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="${scope}"`).sendStatus(403);
  }
  next();
};
// [end]

const app = express();
app.get("/healthz", (req, res) => res.sendStatus(200));
// [guide: routes]
app.get("/orders", require("orders:read"), (req, res) => res.json({ orders: [], for: req.caller.sub }));
app.post("/orders", require("orders:write"), (req, res) => res.status(201).json({ by: req.caller.sub }));
// [end]
app.listen(PORT, "127.0.0.1");
