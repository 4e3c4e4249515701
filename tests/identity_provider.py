"""A real OpenID Connect provider on 127.0.0.1 that signs in anyone, and misbehaves on request."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "bellcast-console", "a secret & more"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """Generating a key takes 0.1 s."""
    return rsa.generate_private_key(65537, 2048)


class IdentityProvider:
    """Signs in `user` with its claims. `claims` override those of ID tokens; None removes a claim. `responses` replace the
    response of a path: a status with a body, or an event for which the response waits."""

    def __init__(self, port: int, now: Callable[[], float]) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realm"
        self.now = now
        self.user: dict[str, Any] = {"sub": "u1", "preferred_username": "Alice", "groups": ["staff"]}
        self.claims: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.signed_by = "published"
        self.accepts_codes_twice = False
        self.responses: dict[str, tuple[int, bytes] | threading.Event] = {}
        self.requests: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}  # the parameters of the authorization request
        self.error: str | None = None

    @property
    def discovery(self) -> dict[str, Any]:
        endpoints = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {"issuer": self.issuer} | {name: f"{self.issuer}/{path}" for name, path in endpoints.items()}

    def authorize(self, params: dict[str, str]) -> str:
        """Return the URL to which the browser is redirected."""
        assert params["response_type"] == "code"
        assert params["client_id"] == CLIENT_ID
        assert params["code_challenge_method"] == "S256"
        fields = {"state": params["state"], "iss": self.issuer}
        if self.error is not None:
            return f"{params['redirect_uri']}?{urlencode(fields | {'error': self.error})}"
        code = secrets.token_urlsafe(8)
        self.codes[code] = params
        return f"{params['redirect_uri']}?{urlencode(fields | {'code': code, 'session_state': 'x'})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        sent = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if sent != f"{CLIENT_ID}:a%20secret%20%26%20more":
            return 401, {"error": "invalid_client"}
        params = self.codes.get(form["code"]) if self.accepts_codes_twice else self.codes.pop(form["code"], None)
        if params is None or form["redirect_uri"] != params["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != params["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": self.id_token(params)}

    def id_token(self, params: dict[str, str]) -> str:
        now = int(self.now())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": params["nonce"]}
        if "max_age" in params:
            claims["auth_time"] = now
        merged = {name: value for name, value in (claims | self.user | self.claims).items() if value is not None}
        secret: Any = None if self.algorithm == "none" else key(self.signed_by)
        if self.algorithm == "HS256":
            secret = "the public key, as a shared secret of enough bytes"
        return jwt.encode(merged, secret, self.algorithm, headers={"kid": "published"})

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(key("published").public_key(), as_dict=True)
        return {"keys": [public | {"kid": "published", "use": "sig", "alg": "RS256"}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: IdentityProvider

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        provider, path = self.provider, url.path.removeprefix("/realm")
        provider.requests.append(path)
        if self._misbehaves(path):
            return
        if path == "/authorize":
            params = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._send(302, b"", location=provider.authorize(params))
        elif path == "/keys":
            self._send(200, json.dumps(provider.keys()).encode())
        elif path == "/.well-known/openid-configuration":
            self._send(200, json.dumps(provider.discovery).encode())
        else:
            self._send(404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        path = self.path.removeprefix("/realm")
        self.provider.requests.append(path)
        if not self._misbehaves(path):
            status, response = self.provider.token(dict(parse_qsl(body)), self.headers.get("authorization", ""))
            self._send(status, json.dumps(response).encode())

    def _misbehaves(self, path: str) -> bool:
        response = self.provider.responses.get(path)
        if isinstance(response, threading.Event):
            response.wait(60)
            self.close_connection = True
            return True
        if response is not None:
            self._send(*response)
        return response is not None

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), "content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: tests read `requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client closes responses that are too slow or too large."""


@contextmanager
def identity_provider(now: Callable[[], float] = time.time) -> Iterator[IdentityProvider]:
    """Run a provider whose clock is `now`, in epoch seconds."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        provider = handler.provider = IdentityProvider(server.server_address[1], now)  # type: ignore[attr-defined]  # set on the class
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            for response in provider.responses.values():
                if isinstance(response, threading.Event):
                    response.set()
            server.shutdown()
            thread.join()
