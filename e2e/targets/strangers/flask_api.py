"""Orders behind Flask and PyJWT. FLAW=expired leaves the expiry to others;
FLAW=path asks for a token on one spelling of the path."""
import json
import os
import posixpath

import jwt
from flask import Flask, jsonify, request
from werkzeug.serving import make_server

world = json.load(open(os.environ["KEYS"]))
flaw = os.environ.get("FLAW", "")
key = jwt.PyJWK(world["rsa"]).key
app = Flask(__name__)


def caller():
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise jwt.InvalidTokenError("no token")
    if jwt.get_unverified_header(token).get("typ") not in ("at+jwt", "application/at+jwt"):
        raise jwt.InvalidTokenError("type")
    return jwt.decode(token, key, algorithms=["RS256"], audience=world["audience"], issuer=world["issuer"],
                      options={"require": ["exp", "iat", "sub"], "verify_exp": flaw != "expired"})["sub"]


class Normal:
    """What a proxy in front does: one spelling for the application."""
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environ, start):
        environ["asked"] = environ["PATH_INFO"]
        if flaw == "path":
            environ["PATH_INFO"] = "/" + posixpath.normpath(environ["PATH_INFO"]).strip("/")
        return self.inner(environ, start)


@app.get("/orders")
def orders():
    who = "nobody"
    if flaw != "path" or request.environ["asked"] == "/orders":
        try:
            who = caller()
        except jwt.InvalidTokenError:
            return jsonify(error="invalid_token"), 401, {"WWW-Authenticate": "Bearer"}
    return jsonify(owner=who, orders=[{"id": 17, "item": "lamp oil"}])


app.wsgi_app = Normal(app.wsgi_app)
server = make_server("127.0.0.1", 0, app, threaded=True)
import logging
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
