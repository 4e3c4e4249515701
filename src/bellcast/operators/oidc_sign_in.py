"""Sign-in of operators with an identity provider: from the sign-in page to the provider, and back with a new session. A
pending sign-in is not stored. Its random values are in an encrypted cookie, so that only the same browser can complete
it."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from bellcast.auth import browser_request
from bellcast.auth.browser_request import PENDING, BrowserRequest
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Conflict, Forbidden, Invalid, TooMany, Unauthenticated
from bellcast.operators import console_sessions, oidc
from bellcast.operators.console_sessions import ConsoleSessions, SignedIn
from bellcast.operators.oidc import AuthorizationRequest, IdClaims, OidcProvider
from bellcast.operators.store import Operators
from bellcast.operators.types import VERIFIED_MS, OidcConfig, Operator, Role

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


class PendingSignIn(Struct, frozen=True):
    """The content of the cookie. `request` has the random values that the provider must return."""

    request: AuthorizationRequest
    return_path: str
    reauthenticates: bool
    expires_at: int


class OidcSignIn(Struct, eq=False):
    """Begins and completes sign-ins."""

    config: OidcConfig
    provider: OidcProvider
    sessions: ConsoleSessions
    operators: Operators
    cipher: Encryption
    clock: Clock
    _waiting: int = 0

    @property
    def name(self) -> str:
        return self.provider.name

    async def begin(
        self, request: BrowserRequest, redirect_uri: str, return_path: str, *, reauthenticates: bool
    ) -> tuple[str, str]:
        """Begin a sign-in from a page of this server. `return_path` is a page of the console. Return the URL to redirect the browser to,
        and the header that sets its cookie. Raises Invalid, Unavailable."""
        self.sessions.check_page(request)
        if len(return_path) > MAX_RETURN_PATH or not RETURN_PATH.fullmatch(return_path):
            raise Invalid.of("return_path", "must be a page of the console")
        state, nonce, verifier = (secrets.token_urlsafe(RANDOM_BYTES) for _ in range(3))
        values = AuthorizationRequest(state, nonce, verifier, redirect_uri)
        url = await self.provider.authorization_url(values, reauthenticates=reauthenticates)
        pending = PendingSignIn(values, return_path, reauthenticates, self.clock.now() + PENDING_MS)
        sealed = self.cipher.encrypt(msgspec.json.encode(pending).decode(), PLACE)
        return url, self._cookie(request, sealed, PENDING_MS // 1000)

    def end_cookie(self, request: BrowserRequest) -> str:
        """Return the header that deletes the cookie."""
        return self._cookie(request, "", 0)

    async def returned(self, request: BrowserRequest, params: Mapping[str, str]) -> PendingSignIn:
        """Return the sign-in that this browser began and that returns with these parameters. Its state is used up. Raises Forbidden
        or Unauthenticated."""
        self.sessions.check_channel(request)
        sealed = browser_request.cookie_of(request, browser_request.cookie_name(request, PENDING))
        try:
            found = msgspec.json.decode(self.cipher.decrypt(sealed or "", PLACE), type=PendingSignIn)
        except (ValueError, msgspec.DecodeError):
            raise Unauthenticated(STALE) from None
        is_same = hmac.compare_digest(
            found.request.state.encode(), params.get("state", "").encode(errors="surrogatepass")
        )
        if not is_same or self.clock.now() >= found.expires_at or len(params.get("code", "")) > MAX_CODE:
            raise Unauthenticated(STALE)
        if params.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise Unauthenticated(STALE)
        digest = hashlib.sha256(found.request.state.encode()).digest()
        if not await self.operators.use_sign_in(digest, found.expires_at, self.clock.now()):
            raise Unauthenticated(STALE)
        # A response with an error has no code (RFC 6749, 4.1.2.1).
        if "error" in params or "code" not in params:
            error = oidc.error_text(params.get("error", ""))
            raise Unauthenticated(f"The identity provider refused the sign-in: {error}.")
        return found

    async def complete(
        self, request: BrowserRequest, pending: PendingSignIn, code: str
    ) -> tuple[SignedIn, Role | None]:
        """Exchange the code, and start a session. Return it with the operator's previous role, None for a new operator. Raises
        Unauthenticated, Forbidden, Conflict, TooMany or Unavailable."""
        if self._waiting >= MAX_WAITING:
            raise TooMany("Too many operators are signing in: try again.", retry_after=2)
        self._waiting += 1
        try:
            attempt = await self.sessions.count_attempt("provider", request)
            claims = await self.provider.claims(code, pending.request)
        finally:
            self._waiting -= 1
        # When the operator last authenticated at the provider; 0 if unknown. Raises Unauthenticated if a new
        # authentication was requested but not confirmed.
        verified_at = 0 if claims.auth_time is None else int(claims.auth_time * 1000)
        begun_at = pending.expires_at - PENDING_MS - oidc.LEEWAY_SECONDS * 1000
        if pending.reauthenticates and verified_at < max(begun_at, self.clock.now() - VERIFIED_MS):
            raise Unauthenticated(NOT_AGAIN)
        operator, role_before = await self._operator(claims)
        result = await self.sessions.start(request, operator, verified_at)
        await self.operators.clear_failures(attempt)
        return result, role_before

    async def _operator(self, claims: IdClaims) -> tuple[Operator, Role | None]:
        """Return the operator, with the role that its groups have, and its previous role. Create it at the first
        sign-in."""
        subject = f"{claims.iss} {claims.sub}"
        found, role = await self.operators.of_subject(subject), self.config.role_of(claims.groups)
        if role is None:
            if found is not None:
                await self.operators.end_sessions(found.id)
            raise Forbidden(NO_ROLE)
        if self.sessions.requires_mfa and "mfa" not in claims.amr:
            raise Forbidden(NO_MFA)
        if found is None:
            candidates = (claims.preferred_username, claims.email, claims.sub)
            names = (one.strip().lower() for one in candidates if isinstance(one, str))
            name = next((name for name in names if console_sessions.NAME.fullmatch(name)), None)
            if name is None:
                raise Forbidden("Your account has no valid operator name: set a user name or an e-mail address.")
            operator = self.sessions.new_operator(name, role, subject=subject)
            unusable = await self.sessions.hash(secrets.token_urlsafe(RANDOM_BYTES))
            created = await self.operators.create(operator, unusable, MAX_EXTERNAL_OPERATORS)
            if created is None:
                raise Forbidden(f"There are {MAX_EXTERNAL_OPERATORS} operators: an owner must delete some first.")
            if not created:
                # Do not use the existing operator: an equal name does not prove that it is the same person.
                raise Conflict(f"Another operator has the name {name}: an owner must delete that one first.")
            return operator, None
        if found.role != role and not await self.operators.change(found.id, role, None):
            raise Forbidden(LAST_OWNER)
        return msgspec.structs.replace(found, role=role), found.role

    def _cookie(self, request: BrowserRequest, value: str, max_age: int) -> str:
        return browser_request.make_cookie(request, browser_request.cookie_name(request, PENDING), value, max_age)
