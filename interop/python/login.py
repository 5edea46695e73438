"""Logins with Authlib: python login.py service, or python login.py user"""
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

ISSUER, CLIENT_ID = os.environ["ISSUER"], os.environ["CLIENT_ID"]
metadata = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=5).json()


# [guide: service]
def service():
    session = OAuth2Session(CLIENT_ID, os.environ["CLIENT_SECRET"], scope="orders:read")
    return session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")["access_token"]
# [end]


# [guide: user]
class Callback(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.answer = self.path
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"You are signed in. Close this window.\n")

    def log_message(self, *args):
        pass


def user():
    listener = HTTPServer(("127.0.0.1", 0), Callback)
    redirect = f"http://127.0.0.1:{listener.server_port}/cb"
    # code_challenge_method makes Authlib use PKCE. A public client has no secret: "none".
    session = OAuth2Session(CLIENT_ID, redirect_uri=redirect, scope="openid orders:read orders:write",
                            code_challenge_method="S256", token_endpoint_auth_method="none")
    verifier, nonce = generate_token(48), generate_token(24)
    url, state = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    print("open", url, flush=True)
    listener.handle_request()
    # state: what comes back has to belong to what was asked. Another one raises MismatchingStateException.
    tokens = session.fetch_token(metadata["token_endpoint"], authorization_response=listener.answer, state=state, code_verifier=verifier)
    identity = jwt.decode(tokens["id_token"], KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=5).json()), algorithms=["ES256", "RS256"])
    jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": CLIENT_ID},
                          nonce={"essential": True, "value": nonce}, exp={"essential": True}).validate(identity.claims)
    return tokens["access_token"]
# [end]


print("token", user() if sys.argv[1:] == ["user"] else service())
