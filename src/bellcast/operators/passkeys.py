"""Passkeys of operators (WebAuthn Level 2): sign-in without a name and without a password.

The authenticator verifies its user, by a PIN or a fingerprint, so a passkey is two factors. It signs for one host name only,
so a page of another site cannot use it."""

import hashlib
import secrets
import struct
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from bellcast.auth import origins
from bellcast.auth.request import AuthRequest
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import BellcastError, Conflict, Forbidden, Invalid, Unauthenticated
from bellcast.operators.sign_in import ConsoleSessions, SignedIn
from bellcast.operators.store import Operators
from bellcast.operators.types import Operator, Passkey

# Enough time to find a phone.
CEREMONY_MS = 5 * 60_000
CHALLENGE_BYTES = 32
# Enough for a laptop, a phone, two security keys, and some that are no longer used.
MAX_PASSKEYS = 10
MAX_NAME = 100
# A credential id has at most 1,023 bytes, an RSA key 300 (WebAuthn Level 2, 6.5.1). Larger keys would only cost time.
MAX_KEY_BYTES = 2_048
PLACE = "passkey"
NAME = "Bellcast"
WRONG = "This passkey does not sign in here: it is unknown, was deleted, or the attempt took longer than 5 minutes."
TAKEN = "This authenticator already has a passkey here."
EXTERNAL = "This operator signs in with the identity provider."
NO_HOST = "Passkeys need a host name: open the console as https://… or http://localhost, without an IP address."


class Ceremony(Struct, frozen=True):
    """The state that the server encrypted at the beginning: a challenge for an operator's new passkey, or for a sign-in
    of any operator."""

    kind: Literal["create", "get"]
    challenge: str
    operator: str | None
    expires_at: int


class PasskeyOptions(Struct, frozen=True):
    """Options in the JSON of WebAuthn, and a `ceremony` to send back with the browser's credential."""

    options: dict[str, Any]
    ceremony: str


class Passkeys(Struct, eq=False):
    """Creates passkeys, and signs in with them."""

    sessions: ConsoleSessions
    operators: Operators
    cipher: Encryption
    clock: Clock
    new_id: Callable[[int], str]

    async def begin_creation(self, request: AuthRequest, operator: Operator) -> PasskeyOptions:
        """Begin to create a passkey. Raises Conflict for an operator of an identity provider."""
        self.sessions.check_page(request)
        if operator.subject is not None:
            raise Conflict(EXTERNAL)
        from fido2 import webauthn  # takes 60 ms, and few servers use it

        known = await self.operators.passkeys(operator.id)
        user = webauthn.PublicKeyCredentialUserEntity(
            id=operator.id.encode(), name=operator.name, display_name=operator.name
        )
        options, state = _server(request).register_begin(
            user,
            [webauthn.AttestedCredentialData(one.public_key) for one in known],
            resident_key_requirement=webauthn.ResidentKeyRequirement.REQUIRED,
            user_verification=webauthn.UserVerificationRequirement.REQUIRED,
            challenge=secrets.token_bytes(CHALLENGE_BYTES),
        )
        return PasskeyOptions(dict(options.public_key), self._sealed("create", state["challenge"], operator.id))

    async def create(
        self, request: AuthRequest, operator: Operator, ceremony: str, credential: dict[str, Any], name: str
    ) -> Passkey:
        """Store the passkey that the browser created. Raises Invalid or Conflict."""
        self.sessions.check_page(request)
        opened = self._opened(ceremony, "create")
        if opened is None or opened.operator != operator.id:
            raise Invalid.of("ceremony", "does not belong to this operator, or took longer than 5 minutes: start again")
        server = _server(request)
        try:
            data = server.register_complete(_state(opened), credential)
            attested = data.credential_data
            is_usable = attested.public_key.get(3) in {one.alg for one in server.allowed_algorithms}
        except _unreadable() as error:
            raise Invalid.of("credential", "is not the passkey that was requested") from error
        if not is_usable or len(attested) > MAX_KEY_BYTES:
            raise Invalid.of("credential", "has an unsupported key")
        now = self.clock.now()
        await self._use(opened, Invalid.of("ceremony", "was already used: start again"))
        passkey = Passkey(
            id=self.new_id(now),
            operator=operator.id,
            credential=bytes(attested.credential_id),
            public_key=bytes(attested),
            name=name,
            counter=data.counter,
            created_at=now,
        )
        added = await self.operators.add_passkey(passkey, MAX_PASSKEYS)
        if added is None:
            raise Conflict(f"An operator has at most {MAX_PASSKEYS} passkeys: delete one first.")
        if not added:
            raise Conflict(TAKEN)
        return passkey

    def begin_sign_in(self, request: AuthRequest) -> PasskeyOptions:
        """Begin a sign-in. The authenticator determines the operator."""
        self.sessions.check_page(request)
        from fido2.webauthn import UserVerificationRequirement

        options, state = _server(request).authenticate_begin(
            user_verification=UserVerificationRequirement.REQUIRED, challenge=secrets.token_bytes(CHALLENGE_BYTES)
        )
        return PasskeyOptions(dict(options.public_key), self._sealed("get", state["challenge"], None))

    async def sign_in(self, request: AuthRequest, ceremony: str, credential: dict[str, Any]) -> SignedIn | None:
        """Start a session of the operator whose passkey signed the challenge. Return None, and write nothing, without a known
        passkey: anyone may send such requests, from many addresses. Raises Unauthenticated or TooMany."""
        self.sessions.check_page(request)
        opened = self._opened(ceremony, "get")
        from fido2 import webauthn

        try:
            assertion = webauthn.AuthenticationResponse.from_dict(credential)
            found = await self.operators.passkey_of(bytes(assertion.raw_id))
        except _unreadable():
            return None
        if opened is None or found is None:
            return None
        attempt, _ = await self.sessions.count_attempt("passkey", request)
        await self._use(opened, Unauthenticated(WRONG))
        known = [webauthn.AttestedCredentialData(found.public_key)]
        try:
            _server(request).authenticate_complete(_state(opened), known, assertion)
        except _unreadable():
            raise Unauthenticated(WRONG) from None
        user = assertion.response.user_handle
        operator = await self.operators.get(found.operator)
        if operator is None or operator.subject is not None or user not in (None, found.operator.encode()):
            raise Unauthenticated(WRONG)
        counter = assertion.response.authenticator_data.counter
        if not await self.operators.use_passkey(found.id, counter, self.clock.now()):
            raise Unauthenticated("This passkey may have been copied: delete it, and create another one.")
        result = await self.sessions.start(request, operator)
        await self.operators.clear_failures(attempt)
        return result

    async def _use(self, ceremony: Ceremony, refusal: BellcastError) -> None:
        """Raise the refusal if the ceremony was used before: a signature is good for one passkey or one sign-in."""
        digest = hashlib.sha256(ceremony.challenge.encode()).digest()
        if not await self.operators.use_sign_in(digest, ceremony.expires_at, self.clock.now()):
            raise refusal

    def _sealed(self, kind: Literal["create", "get"], challenge: str, operator: str | None) -> str:
        ceremony = Ceremony(kind, challenge, operator, self.clock.now() + CEREMONY_MS)
        return self.cipher.encrypt(msgspec.json.encode(ceremony).decode(), PLACE)

    def _opened(self, sealed: str, kind: str) -> Ceremony | None:
        try:
            found = msgspec.json.decode(self.cipher.decrypt(sealed, PLACE), type=Ceremony)
        except (ValueError, msgspec.DecodeError):
            return None
        return found if found.kind == kind and self.clock.now() < found.expires_at else None


def _unreadable() -> tuple[type[Exception], ...]:
    """Return the errors that the library raises for input that is not a browser's response."""
    from cryptography.exceptions import UnsupportedAlgorithm

    return (
        *(ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError, NotImplementedError),
        *(struct.error, UnsupportedAlgorithm),
    )


def _server(request: AuthRequest) -> Any:
    """Return the verifier for the host of the request, whose page must be of the same origin."""
    from fido2.server import Fido2Server
    from fido2.webauthn import AttestationConveyancePreference, PublicKeyCredentialRpEntity

    host = urlsplit(f"//{request.host}").hostname or ""
    if not host or host.replace(".", "").isdigit() or ":" in host:
        raise Forbidden(NO_HOST)
    return Fido2Server(
        PublicKeyCredentialRpEntity(name=NAME, id=host),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origins.is_same(origin, request.scheme, request.host),
    )


def _state(ceremony: Ceremony) -> dict[str, str]:
    return {"challenge": ceremony.challenge, "user_verification": "required"}
