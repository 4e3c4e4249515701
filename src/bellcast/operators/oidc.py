"""The authorization code flow of OpenID Connect with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9700)."""

import asyncio
import base64
import hashlib
from contextlib import suppress
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct, field

from bellcast.auth import tokens
from bellcast.auth.published_keys import CACHE_MS, FAILED_RETRY_MS, PublishedKeys
from bellcast.kernel import base64url
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unauthenticated, Unavailable
from bellcast.kernel.outbound.port import Http, Response
from bellcast.operators.types import OidcConfig

T = TypeVar("T")

DISCOVERY = "/.well-known/openid-configuration"
# Entra lists up to 200 groups of 36 characters in a token.
MAX_ID_TOKEN = 32_768
MAX_GROUPS = 1_000
# Tolerated clock difference between two machines.
LEEWAY_SECONDS = 60
# Maximum age of an ID token, which is used immediately.
MAX_TOKEN_AGE_SECONDS = 600
# Timeout per response; a sign-in waits for two.
RESPONSE_TIMEOUT = 5.0
BASIC, POST = "client_secret_basic", "client_secret_post"
# Error codes that a provider may return (RFC 6749, 4.1.2.1 and 5.2). Other texts are not shown.
ERRORS = frozenset(
    (
        *("access_denied", "invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "login_required"),
        *("server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_response_type"),
    )
)


class ProviderMetadata(Struct, frozen=True):
    """The discovery document (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = (BASIC,)


class TokenResponse(Struct, frozen=True):
    """The response of the token endpoint. The access token is not used."""

    id_token: str


class IdClaims(Struct, frozen=True, kw_only=True):
    """Claims of an ID token. Times are epoch seconds. `groups` is the configured claim."""

    iss: str
    sub: Annotated[str, Meta(min_length=1, max_length=255)]
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str | None = None
    azp: str | None = None
    auth_time: float | None = None
    amr: list[str] = []
    preferred_username: Any = None
    email: Any = None
    groups: list[str] = []


class AuthorizationRequest(NamedTuple):
    """The random values of a request, and the URL to which the provider redirects the browser."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class OidcProvider(Struct, eq=False):
    """A provider and its published keys. URLs of the discovery document pass the guard of `http`."""

    config: OidcConfig
    http: Http
    clock: Clock
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _metadata: ProviderMetadata | None = None
    _keys: PublishedKeys | None = None
    _failure: Unavailable | None = None
    _next_fetch_at: int = 0

    @property
    def issuer(self) -> str:
        return self.config.issuer or ""

    @property
    def name(self) -> str:
        """The provider's name on the sign-in page."""
        return self.config.name or urlsplit(self.issuer).hostname or ""

    async def authorization_url(self, request: AuthorizationRequest, *, reauthenticates: bool) -> str:
        """Return the URL to redirect the browser to. With `reauthenticates`, the provider must not use an existing
        session. Raises Unavailable."""
        metadata = await self._discovered()
        challenge = hashlib.sha256(request.verifier.encode()).digest()
        params = {
            "response_type": "code",
            "client_id": self.config.client_id or "",
            "redirect_uri": request.redirect_uri,
            "scope": " ".join(self.config.scopes),
            "state": request.state,
            "nonce": request.nonce,
            "code_challenge": base64url.encode(challenge),
            "code_challenge_method": "S256",
        }
        if reauthenticates:
            params |= {"prompt": "login", "max_age": "0"}
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return f"{metadata.authorization_endpoint}{separator}{urlencode(params)}"

    async def claims(self, code: str, request: AuthorizationRequest) -> IdClaims:
        """Exchange the code for an ID token, and return its verified claims. Raises Unauthenticated or Unavailable."""
        metadata = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": request.verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        client_id, secret = self.config.client_id or "", self.config.client_secret
        methods = metadata.token_endpoint_auth_methods_supported
        if secret is not None and (BASIC in methods or POST not in methods):
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749, 2.3.1
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client_id} | ({} if secret is None else {"client_secret": secret})
        response = await self.http.request(
            "POST", metadata.token_endpoint, headers=headers, body=urlencode(form).encode(), timeout=RESPONSE_TIMEOUT
        )
        if response.status != 200:
            try:
                error = msgspec.json.decode(response.body, type=dict[str, Any]).get("error")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                error = None
            reason = error_text(error) if isinstance(error, str) else str(response.status)
            raise Unauthenticated(f"The identity provider refused the sign-in: {reason}.")
        token = tokens.parse(_parsed(response, TokenResponse, "token endpoint").id_token, "ID token", MAX_ID_TOKEN)
        if self._keys is None:
            raise Unavailable("The keys of the identity provider are unknown.")
        await self._keys.verify(token)
        found = self._decoded(token.payload)
        # The token must be from this provider, for this client and this sign-in, and fresh (OpenID Connect Core 1.0, 3.1.3.7).
        now = self.clock.now() / 1000
        audiences = [found.aud] if isinstance(found.aud, str) else found.aud
        wrong = {
            "issuer (iss)": found.iss != self.issuer,
            "audience (aud)": self.config.client_id not in audiences,
            "authorized party (azp)": found.azp not in (None, self.config.client_id)
            or (found.azp is None and len(audiences) > 1),
            "nonce": found.nonce is None or found.nonce != request.nonce,
            "time (exp)": now >= found.exp + LEEWAY_SECONDS,
            "time (iat)": not -LEEWAY_SECONDS <= now - found.iat <= MAX_TOKEN_AGE_SECONDS,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise Unauthenticated(f"The {name} of the ID token is wrong.")
        return found

    def _decoded(self, payload: bytes) -> IdClaims:
        try:
            raw = msgspec.json.decode(payload, type=dict[str, Any])
            groups = raw.get(self.config.groups_claim)
            raw["groups"] = [groups] if isinstance(groups, str) else (groups or [])[:MAX_GROUPS]
            return msgspec.convert(raw, IdClaims)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError):
            raise Unauthenticated("The claims of the ID token are wrong.") from None

    async def _discovered(self) -> ProviderMetadata:
        """Return the discovery document. After a failed read, the last one is kept."""
        async with self._lock:
            if self.clock.now() >= self._next_fetch_at:
                try:
                    found = await self._fetch()
                except Unavailable as failure:
                    # Counted from the end of the request: after a timeout, each waiting request would otherwise wait
                    # for another one.
                    self._failure, self._next_fetch_at = failure, self.clock.now() + FAILED_RETRY_MS
                else:
                    if self._keys is None or self._metadata is None or self._metadata.jwks_uri != found.jwks_uri:
                        source, uri = "The identity provider", found.jwks_uri
                        self._keys = PublishedKeys(uri, self.http, self.clock, source=source, subject="ID token")
                    self._metadata, self._next_fetch_at = found, self.clock.now() + CACHE_MS
            if self._metadata is None:
                raise self._failure or Unavailable("The identity provider cannot be reached.")
            return self._metadata

    async def _fetch(self) -> ProviderMetadata:
        url = self.issuer.removesuffix("/") + DISCOVERY
        response = await self.http.request("GET", url, headers={"accept": "application/json"}, timeout=RESPONSE_TIMEOUT)
        if response.status != 200:
            raise Unavailable(f"The discovery document of the identity provider is missing: {response.status}.")
        found = _parsed(response, ProviderMetadata, "discovery document")
        if found.issuer != self.issuer:
            raise Unavailable("The issuer in the discovery document differs from BELLCAST_OIDC_ISSUER.")
        with suppress(ValueError):  # a wrong IPv6 address
            if urlsplit(found.authorization_endpoint).scheme in ("https", "http"):
                return found
        raise Unavailable("The authorization endpoint of the identity provider is not a URL.")


def error_text(code: str) -> str:
    """Return the provider's error code if it is a registered one. Other texts could come from anyone."""
    return code if code in ERRORS else "an error"


def _parsed(response: Response, type: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(response.body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unavailable(f"The {what} of the identity provider is not the expected JSON.") from None
