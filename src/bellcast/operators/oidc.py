"""Sign-in of operators with an identity provider: the authorization code flow of OpenID Connect with PKCE (OpenID Connect Core
1.0, 3.1; RFC 7636; RFC 9700), from the sign-in page to the provider, and back with a new session. A pending sign-in is not
stored. Its random values are in an encrypted cookie, so that only the same browser can complete it."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct, field

from bellcast.auth import tokens
from bellcast.auth.published_keys import FAILED_RETRY_MS, KEYS_CACHE_MS, PublishedKeys
from bellcast.auth.request import PENDING, AuthRequest
from bellcast.kernel import base64url
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Conflict, Forbidden, Invalid, TooMany, Unauthenticated, Unavailable
from bellcast.kernel.outbound import Http, Response
from bellcast.operators import sign_in
from bellcast.operators.sign_in import ConsoleSessions, SignedIn
from bellcast.operators.store import Operators
from bellcast.operators.types import VERIFIED_MS, OidcConfig, Operator, Role

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
    nbf: float = 0
    nonce: str | None = None
    azp: str | None = None
    auth_time: float | None = None
    amr: list[str] = []
    preferred_username: Any = None
    email: Any = None
    groups: list[str] = []


class PendingSignIn(Struct, frozen=True):
    """A sign-in on its way to the provider and back, stored in the cookie: the random values that the provider must return, the
    URL to which it redirects the browser, and the page of the console that follows. With `reauthenticates`, the provider must
    not use an existing session."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    return_path: str
    reauthenticates: bool
    expires_at: int


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

    async def authorization_url(self, pending: PendingSignIn) -> str:
        """Return the URL to redirect the browser to. Raises Unavailable."""
        metadata = await self._discovered()
        challenge = hashlib.sha256(pending.verifier.encode()).digest()
        params = {
            "response_type": "code",
            "client_id": self.config.client_id or "",
            "redirect_uri": pending.redirect_uri,
            "scope": " ".join(self.config.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": base64url.encode(challenge),
            "code_challenge_method": "S256",
        }
        if pending.reauthenticates:
            params |= {"prompt": "login", "max_age": "0"}
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return f"{metadata.authorization_endpoint}{separator}{urlencode(params)}"

    async def claims(self, code: str, pending: PendingSignIn) -> IdClaims:
        """Exchange the code for an ID token, and return its verified claims. Raises Unauthenticated or Unavailable."""
        metadata = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.redirect_uri,
            "code_verifier": pending.verifier,
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
        if response.status >= 500 or response.status == 429:
            raise Unavailable(f"The identity provider has a problem: status {response.status}.")
        if response.status != 200:
            try:
                error = msgspec.json.decode(response.body, type=dict[str, Any]).get("error")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                error = None
            reason = _error_text(error) if isinstance(error, str) else str(response.status)
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
            "nonce": found.nonce is None or found.nonce != pending.nonce,
            "time (exp)": now >= found.exp + LEEWAY_SECONDS,
            "time (nbf)": found.nbf > now + LEEWAY_SECONDS,
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
            # No request is due later than KEYS_CACHE_MS, unless the clock was set back
            if not 0 < self._next_fetch_at - self.clock.now() <= KEYS_CACHE_MS:
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
                    self._metadata, self._next_fetch_at = found, self.clock.now() + KEYS_CACHE_MS
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


def _error_text(code: str) -> str:
    """Return the provider's error code if it is a registered one. Other texts could come from anyone."""
    return code if code in ERRORS else "an error"


def _parsed(response: Response, type: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(response.body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unavailable(f"The {what} of the identity provider is not the expected JSON.") from None


# A person types a password and a code at the provider.
PENDING_MS = 10 * 60_000
# RFC 7636, 4.1: 43 to 128 characters.
RANDOM_BYTES = 32
PLACE = "sign-in by an identity provider"
# Pattern of a console page. With any other value, a link's author could choose where the browser is redirected.
RETURN_PATH = re.compile(r"/console(?:[/?#][\x21-\x5b\x5d-\x7e]*)?")
MAX_RETURN_PATH = 1_000
MAX_CODE = 4_096
# Concurrent sign-ins; each waits for two responses of the provider.
MAX_WAITING = 16
# Keeps a provider with a broad role map from filling the store.
MAX_EXTERNAL_OPERATORS = 1_000

STALE = "This sign-in was not started in this browser, was already used, or took longer than 10 minutes. Sign in again."
NO_ROLE = "Your account has no role here: none of your groups is in BELLCAST_OIDC_ROLE_MAP. Ask an owner."
NO_MFA = (
    "Operators need a second factor here (BELLCAST_REQUIRE_MFA), and your identity provider did not confirm one: it must "
    "list `mfa` in the claim `amr`."
)
NOT_AGAIN = "Your identity provider did not confirm that you signed in again: it must return the claim `auth_time`."
LAST_OWNER = (
    "You are the last owner, and your groups no longer have this role: give another operator the role owner first."
)


class OidcSignIn(Struct, eq=False):
    """Begins and completes sign-ins."""

    provider: OidcProvider
    sessions: ConsoleSessions
    operators: Operators
    cipher: Encryption
    clock: Clock
    _waiting: int = 0

    async def begin(
        self, request: AuthRequest, redirect_uri: str, return_path: str, *, reauthenticates: bool
    ) -> tuple[str, str]:
        """Begin a sign-in from a page of this server. `return_path` is a page of the console. Return the URL to redirect the browser to,
        and the header that sets its cookie. Raises Invalid, Unavailable."""
        self.sessions.check_page(request)
        if len(return_path) > MAX_RETURN_PATH or not RETURN_PATH.fullmatch(return_path):
            raise Invalid.of("return_path", "must be a page of the console")
        state, nonce, verifier = (secrets.token_urlsafe(RANDOM_BYTES) for _ in range(3))
        expires_at = self.clock.now() + PENDING_MS
        pending = PendingSignIn(state, nonce, verifier, redirect_uri, return_path, reauthenticates, expires_at)
        url = await self.provider.authorization_url(pending)
        sealed = self.cipher.encrypt(msgspec.json.encode(pending).decode(), PLACE)
        return url, self.cookie(request, sealed, PENDING_MS // 1000)

    def cookie(self, request: AuthRequest, value: str = "", max_age: int = 0) -> str:
        """Return the header that sets the cookie or, by default, deletes it."""
        return request.make_cookie(value, max_age, PENDING)

    async def returned(self, request: AuthRequest, params: Mapping[str, str]) -> PendingSignIn:
        """Return the sign-in that this browser began and that returns with these parameters. Its state is used up. Raises Forbidden
        or Unauthenticated."""
        self.sessions.check_channel(request)
        sealed = request.cookie(PENDING)
        try:
            found = msgspec.json.decode(self.cipher.decrypt(sealed or "", PLACE), type=PendingSignIn)
        except (ValueError, msgspec.DecodeError):
            raise Unauthenticated(STALE) from None
        is_same = hmac.compare_digest(found.state.encode(), params.get("state", "").encode(errors="surrogatepass"))
        if not is_same or self.clock.now() >= found.expires_at or len(params.get("code", "")) > MAX_CODE:
            raise Unauthenticated(STALE)
        if params.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise Unauthenticated(STALE)
        digest = hashlib.sha256(found.state.encode()).digest()
        if not await self.operators.use_sign_in(digest, found.expires_at, self.clock.now()):
            raise Unauthenticated(STALE)
        # A response with an error has no code (RFC 6749, 4.1.2.1).
        if "error" in params or "code" not in params:
            error = _error_text(params.get("error", ""))
            raise Unauthenticated(f"The identity provider refused the sign-in: {error}.")
        return found

    async def complete(self, request: AuthRequest, pending: PendingSignIn, code: str) -> tuple[SignedIn, Role | None]:
        """Exchange the code, and start a session. Return it with the operator's previous role, None for a new operator. Raises
        Unauthenticated, Forbidden, Conflict, TooMany or Unavailable."""
        if self._waiting >= MAX_WAITING:
            raise TooMany("Too many operators are signing in: try again.", retry_after=2)
        self._waiting += 1
        try:
            attempt, failure = await self.sessions.count_attempt("provider", request)
            try:
                claims = await self.provider.claims(code, pending)
            except Unavailable:  # says nothing about the caller
                await self.operators.remove_failure(failure)
                raise
        finally:
            self._waiting -= 1
        # When the operator last authenticated at the provider; 0 if unknown, or in the future: it would not become old. Raises
        # Unauthenticated if a new authentication was requested but not confirmed.
        at, now = (claims.auth_time or 0) * 1000, self.clock.now()
        verified_at = min(int(at), now) if 0 <= at <= now + LEEWAY_SECONDS * 1000 else 0
        begun_at = pending.expires_at - PENDING_MS - LEEWAY_SECONDS * 1000
        if pending.reauthenticates and verified_at < max(begun_at, now - VERIFIED_MS):
            raise Unauthenticated(NOT_AGAIN)
        operator, role_before = await self._operator(claims)
        result = await self.sessions.start(request, operator, verified_at)
        await self.operators.clear_failures(attempt)
        return result, role_before

    async def _operator(self, claims: IdClaims) -> tuple[Operator, Role | None]:
        """Return the operator, with the role that its groups have, and its previous role. Create it at the first
        sign-in."""
        subject = f"{claims.iss} {claims.sub}"
        found, role = await self.operators.of_subject(subject), self.provider.config.role_of(claims.groups)
        if role is None:
            if found is not None:
                await self.operators.end_sessions(found.id)
            raise Forbidden(NO_ROLE)
        if self.sessions.requires_mfa and "mfa" not in claims.amr:
            raise Forbidden(NO_MFA)
        if found is None:
            candidates = (claims.preferred_username, claims.email, claims.sub)
            names = (one.strip().lower() for one in candidates if isinstance(one, str))
            name = next((name for name in names if sign_in.NAME.fullmatch(name)), None)
            if name is None:
                raise Forbidden("Your account has no valid operator name: set a user name or an e-mail address.")
            operator = self.sessions.new_operator(name, role, subject=subject)
            unusable = await self.sessions.hash(secrets.token_urlsafe(RANDOM_BYTES))
            created = await self.operators.create(operator, unusable, MAX_EXTERNAL_OPERATORS)
            if created is None:
                raise Forbidden(f"There are {MAX_EXTERNAL_OPERATORS} operators: an owner must delete some first.")
            if not created and (found := await self.operators.of_subject(subject)) is None:
                # Do not use the existing operator: an equal name does not prove that it is the same person.
                raise Conflict(f"Another operator has the name {name}: an owner must delete that one first.")
            if found is None:  # else another tab has created it meanwhile
                return operator, None
        if found.role != role and not await self.operators.change(found.id, role, None):
            raise Forbidden(LAST_OWNER)
        return msgspec.structs.replace(found, role=role), found.role
