// An API with jsonwebtoken and jwks-rsa, in Express.
import express from "express";
import jwt from "jsonwebtoken";
import { JwksClient } from "jwks-rsa";

const { ISSUER, AUDIENCE, PORT } = process.env;

// [guide: verify]
// Keys are kept by kid. A kid that is not known is fetched at once, ten times a minute at most.
const keys = new JwksClient({ jwksUri: `${ISSUER}/.well-known/jwks.json`, rateLimit: true, jwksRequestsPerMinute: 10, timeout: 5000 });

async function verify(token) {
  const header = jwt.decode(token, { complete: true })?.header;
  // jsonwebtoken does not look at typ: without this line an ID token with the API's audience would do.
  // Nor at crit, which names what must be understood (RFC 7515 §4.1.11).
  if (header?.typ !== "at+jwt" || "crit" in header) throw new jwt.JsonWebTokenError("not an access token");
  const key = await keys.getSigningKey(header.kid);
  // algorithms is the list of what may be used; without it the library takes whatever fits the key.
  const claims = jwt.verify(token, key.getPublicKey(), { algorithms: ["ES256"], issuer: ISSUER, audience: AUDIENCE, clockTolerance: 30 });
  // jsonwebtoken checks exp if there is one, and not what kind of value the others are.
  if (typeof claims.exp !== "number" || typeof claims.sub !== "string" || typeof claims.scope !== "string") {
    throw new jwt.JsonWebTokenError("a claim is missing");
  }
  return claims;
}

const require = (scope) => async (req, res, next) => {
  try {
    const [scheme, token] = (req.get("authorization") ?? "").split(" ");
    if (scheme.toLowerCase() !== "bearer" || !token) return res.set("WWW-Authenticate", "Bearer").sendStatus(401);
    req.caller = await verify(token);
  } catch (error) {
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
