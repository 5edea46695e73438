"""An API with joserfc, in Flask."""
import os
import threading
import time
from functools import wraps

import requests
from flask import Flask, g, jsonify, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from waitress import serve

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
app = Flask(__name__)

# [guide: verify]
class Keys:
    """joserfc fetches nothing, so this does: every five minutes, and for a kid that is not known once in 30 seconds."""

    def __init__(self, url):
        self.url, self.fetched, self.keys, self.lock = url, float("-inf"), None, threading.Lock()

    def __call__(self, obj):
        with self.lock:
            age = time.monotonic() - self.fetched
            if age > 300 or age > 30 and not any(k.kid == obj.headers().get("kid") for k in self.keys.keys):
                answer = requests.get(self.url, timeout=5)
                answer.raise_for_status()
                self.keys, self.fetched = KeySet.import_key_set(answer.json()), time.monotonic()
            return self.keys


keys = Keys(f"{ISSUER}/.well-known/jwks.json")
# essential: the claim has to be there, not only to be right if it is.
claims_rules = jwt.JWTClaimsRegistry(
    leeway=30, iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}, sub={"essential": True})


def verify(raw):
    token = jwt.decode(raw, keys, algorithms=["ES256"])
    # joserfc does not look at typ: without this line an ID token with the API's audience would do.
    if token.header.get("typ") != "at+jwt":
        raise ValueError("not an access token")
    claims_rules.validate(token.claims)
    return token.claims


def require(scope):
    def guard(view):
        @wraps(view)
        def guarded():
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                return "", 401, {"WWW-Authenticate": "Bearer"}
            try:
                g.caller = verify(token)
            except (JoseError, ValueError, TypeError):  # TypeError: joserfc 1.8.0 raises it for "crit": null
                return "", 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            if scope not in str(g.caller.get("scope", "")).split(" "):
                return "", 403, {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            return view()
        return guarded
    return guard
# [end]


@app.get("/healthz")
def health():
    return ""


# [guide: routes]
@app.get("/orders")
@require("orders:read")
def orders():
    return jsonify(orders=[], caller=g.caller["sub"])


@app.post("/orders")
@require("orders:write")
def place_order():
    return jsonify(by=g.caller["sub"]), 201
# [end]


serve(app, host="127.0.0.1", port=int(os.environ["PORT"]), threads=4, _quiet=True)
