"""An API with PyJWT, in Flask."""
import os
from functools import wraps

import jwt
from flask import Flask, g, jsonify, request
from waitress import serve

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
app = Flask(__name__)

# [guide: verify]
# The set is kept for five minutes. A kid that is not in it is looked for at once,
# unless the set was fetched within the last 30 seconds.
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json", lifespan=300, cooldown_duration=30, timeout=5)


def verify(token):
    key = keys.get_signing_key_from_jwt(token)
    # exp and sub are checked if they are there: require makes them necessary.
    checked = jwt.decode_complete(token, key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE, leeway=30, options={"require": ["exp", "sub"]})
    # PyJWT does not look at typ: without this line an ID token with the API's audience would do.
    if checked["header"].get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    return checked["payload"]


def require(scope):
    def guard(view):
        @wraps(view)
        def guarded():
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                return "", 401, {"WWW-Authenticate": "Bearer"}
            try:
                g.caller = verify(token)
            except jwt.PyJWTError:
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
