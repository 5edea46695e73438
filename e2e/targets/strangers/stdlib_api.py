"""Orders behind HS256 by hand, on the standard library alone. The secret of a
kid lies in a file. FLAW=command reads it with a shell; FLAW=empty has an empty
secret for tenants that were never set up."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

world = json.load(open(os.environ["KEYS"]))
flaw = os.environ.get("FLAW", "")
folder = os.environ["SECRETS"]  # one file a kid; tokens without a kid use "default"


def secret_of(header):
    kid = header.get("kid", "default")
    if not isinstance(kid, str):
        raise ValueError("kid")
    if flaw == "command":
        text = subprocess.run("cat " + folder + "/" + kid, shell=True, capture_output=True, timeout=20).stdout
        if not text:
            raise ValueError("no secret")
        return text
    if "/" in kid or "\0" in kid:
        raise ValueError("kid")
    with open(os.path.join(folder, kid), "rb") as file:
        return file.read()


def part(text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("base64")
    return data


def caller(authorization):
    scheme, _, token = (authorization or "").partition(" ")
    head, body, signature = token.split(".")
    header = json.loads(part(head))
    if scheme != "Bearer" or header.get("alg") != "HS256" or header.get("typ") != "at+jwt" or "crit" in header:
        raise ValueError("header")
    candidates = [secret_of(header)]
    if flaw == "empty":
        candidates.append(b"")  # the tenant that was never set up
    if not any(hmac.compare_digest(hmac.new(s, (head + "." + body).encode(), hashlib.sha256).digest(), part(signature)) for s in candidates):
        raise ValueError("signature")
    claims = json.loads(part(body))
    if claims["iss"] != world["issuer"] or claims["aud"] != world["audience"] or not isinstance(claims["exp"], int) or claims["exp"] < time.time():
        raise ValueError("claims")
    return claims["sub"]


class API(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, body = 404, {"error": "not found"}
        if self.path.partition("?")[0] == "/orders":
            try:
                status, body = 200, {"for": caller(self.headers.get("Authorization")), "count": 3}
            except Exception:
                status, body = 401, {"error": "unauthorized"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="orders"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), API)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
