"""One API whose tokens authlib verifies. Everything around it is as it should be.

    python server.py    with KEYS, a JSON file of the issuer's public keys
"""
import base64
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from authlib.jose import JsonWebSignature

with open(os.environ["KEYS"]) as file:
    world = json.load(file)


# No algorithms are named, as the library's first example has it, and the key is
# looked up by what the token says.
def verify(token):
    verified = JsonWebSignature().deserialize_compact(token.encode(), lambda header, payload: world["rsa"] if header.get("kid") == world["rsa"]["kid"] else None)
    return json.loads(verified["payload"])


def canonical(part):
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode() == part


def caller(header):
    scheme, _, token = (header or "").partition(" ")
    if scheme != "Bearer" or token.count(".") != 2 or not all(map(canonical, token.split("."))):
        raise ValueError("token")
    claims = verify(token)
    if claims["iss"] != world["issuer"] or claims["aud"] != world["audience"] or claims["exp"] < time.time():
        raise ValueError("claims")
    return claims["sub"]


class API(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, body = 404, {}
        if self.path.split("?")[0] == "/orders":
            try:
                status, body = 200, {"subject": caller(self.headers.get("Authorization"))}
            except Exception:
                status, body = 401, {"error": "invalid_token"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), API)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
