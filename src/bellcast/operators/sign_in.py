"""Sign-in of operators: the first set-up, passwords, sessions, and limits for failed attempts."""

import asyncio
import functools
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from bellcast.auth import keys
from bellcast.auth.request import DEVICE, INSECURE, AuthRequest
from bellcast.kernel import field_limits, ip_addresses
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import BellcastError, Conflict, Forbidden, Invalid, MfaRequired, TooMany, Unauthenticated
from bellcast.kernel.identities import Caller
from bellcast.operators import factors, types
from bellcast.operators.factors import SecondFactors
from bellcast.operators.store import Operators
from bellcast.operators.types import (
    EMAIL_CODE_MS,
    EMAIL_CODE_TRIES,
    EMAILS_MS,
    FAILURES_MS,
    IDLE_MS,
    MAX_EMAIL_CODES,
    MAX_LISTED_SESSIONS,
    MAX_OWN_TESTS,
    MAX_USER_AGENT,
    SCOPES_OF_ROLE,
    SESSION_MS,
    VERIFIED_MS,
    Operator,
    OperatorSession,
    Role,
)

T = TypeVar("T")

TOKEN_BYTES = 32
CODE_BYTES = 16
CODE_DIGITS = 6
CODE_MS = 24 * 3_600_000
# The last use of a session is written at most this often.
TOUCH_MS = 5 * 60_000
WINDOW_MS = 15 * 60_000
# People mistype. After this many failures each attempt must wait, at most as long as failures count.
ACCOUNT_FAILURES = 5
FIRST_DELAY_MS = 30_000
# An office shares one address.
ADDRESS_FAILURES = 20
# Bounds a guess from many addresses. Devices from which the operator signed in before are not counted here.
NAME_FAILURES = 100
SETUP_FAILURES = 10
# Longer than any leave. Browsers keep a cookie for at most 400 days.
DEVICE_SECONDS = 400 * 24 * 3600
DEVICE_ID_BYTES = 16
DEVICE_PLACE = "device of an operator"
# Hashing takes 0.1 s and 64 MiB and runs one at a time, for strangers and for known devices each. More waiting requests would only time out.
MAX_WAITING = 16
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,98}[a-z0-9])?")
OPERATOR_NAME = field_limits.matching(
    NAME,
    "must be 1 to 100 characters of a-z 0-9 . _ @ + -, beginning and ending with a-z 0-9",
)

WRONG = "The name or the password is wrong."
WRONG_SECOND = "The code is wrong, or was used before: wait for the next one."
WRONG_NETWORK = "Operators may not connect from this address: see BELLCAST_CONSOLE_NETWORKS."
TOO_MANY = "Too many failed attempts: wait before the next one."
TOO_MANY_CODES = "Too many wrong codes: print a new one with `bellcast operator setup-code`, or wait."
WRONG_CODE = "This code is wrong or has expired: print a new one with `bellcast operator setup-code`."


class PendingEmail(Struct, frozen=True, array_like=True):
    """An address that is not confirmed yet, its code, and when the code ends (UTC milliseconds)."""

    email: str
    code: str
    expires_at: int


class SignedIn(NamedTuple):
    """A new session: its operator, and the headers that set its cookies."""

    operator: Operator
    cookies: tuple[str, ...]


class ConsoleSessions:
    """Authenticates operators, from all or some networks. Failures and sessions are in the store, so that limits hold across all
    nodes. A session from the identity provider lasts `external_session` seconds."""

    def __init__(
        self,
        operators: Operators,
        clock: Clock,
        new_id: Callable[[int], str],
        cipher: Encryption,
        *,
        networks: Sequence[str] = (),
        requires_mfa: bool = False,
        external_session: float = types.SESSION_SECONDS,
    ) -> None:
        self._operators = operators
        self._cipher = cipher
        self.second_factors = SecondFactors(operators, cipher, clock)
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self.requires_mfa = requires_mfa
        self._external_session_ms = round(external_session * 1000)
        self._clock = clock
        self._new_id = new_id
        # Strangers wait for each other only: known devices and open sessions have their own lock.
        self._hashing = {is_known: asyncio.Lock() for is_known in (False, True)}
        self._waiting = [0, 0]
        # Checked for unknown names, so that known and unknown names take the same time.
        self._decoy: str | None = None

    async def is_setup_needed(self) -> bool:
        return not await self._operators.has_owner()

    async def make_setup_code(self) -> str:
        """Create a code for the first set-up, valid for a day. Raises Conflict if there is an owner."""
        code = secrets.token_urlsafe(CODE_BYTES)
        now = self._clock.now()
        if not await self._operators.add_setup_code(keys.digest(code), now + CODE_MS, now):
            raise Conflict("The console is already set up: ask an owner to add you as an operator.")
        return code

    async def set_up(self, request: AuthRequest, code: str, name: str, password: str) -> SignedIn:
        """Create the first owner with a set-up code, and sign in as this owner. Raises Conflict if the name is
        taken."""
        self.check_page(request)

        async def create() -> Operator:
            place, now = f"setup:{_network(request.address)}", self._clock.now()
            await self._check_maximum(place, SETUP_FAILURES, now, FAILURES_MS, TOO_MANY_CODES)
            owner = self.new_operator(name, "owner", None)
            hashed = await asyncio.to_thread(factors.hash_password, password)
            if not await self._operators.use_setup_code(keys.digest(code), owner, hashed, self._clock.now()):
                await self._operators.add_failure([place], now)
                raise Forbidden(WRONG_CODE)
            return owner

        return await self.start(request, await self._alone(create, is_known=False))

    async def sign_in(self, request: AuthRequest, name: str, password: str, code: str | None = None) -> SignedIn:
        """Start a session, and end the request's current one. Raises MfaRequired if the password is right, but the code
        of the operator's second factor is missing."""
        self.check_page(request)
        device = self._device(request)
        # A device from which this operator signed in before is counted alone, so that strangers cannot keep the operator out.
        is_known = device is not None and device[1] == name
        maximums: dict[str, int] = {}
        if device is not None and is_known:
            delayed = f"device:{device[0]}"
        else:
            network, digest = _network(request.address), self._cipher.digest(name)  # some type a password as the name
            delayed = f"sign-in:{network} {digest}"
            maximums = {f"address:{network}": ADDRESS_FAILURES, f"account:{digest}": NAME_FAILURES}
        work = functools.partial(self._verify, name, password, delayed, maximums, second=code or "")
        operator, hashed = await self._alone(work, is_known=is_known)
        return await self.start(request, operator, hashed=hashed)

    async def verify_again(self, request: AuthRequest, password: str) -> None:
        """Check the password of the request's operator and set `Caller.is_verified` for the session."""
        self.check_page(request)
        session = await self.session(request)
        await self._verify_in(session, password)
        await self._operators.verify_session(session.digest, self._clock.now())

    async def sign_out(self, request: AuthRequest) -> str:
        """End the request's session; return the header that deletes its cookie."""
        self.check_page(request)
        await self._end(request)
        return request.make_cookie("", 0)

    async def caller(self, request: AuthRequest) -> Caller | None:
        """Return the operator of the request's session, or None without a session's cookie.

        Raises Forbidden for requests from pages of other origins, Unauthenticated if the session has ended."""
        if request.cookie() is None:
            return None
        self.check_network(request.address)
        request.check_own_page()
        session = await self.session(request)
        operator = session.operator
        return Caller(
            scopes=SCOPES_OF_ROLE[operator.role],
            operator=operator.name,
            role=operator.role,
            tenants=operator.tenants,
            is_verified=self._clock.now() < session.verified_at + VERIFIED_MS,
            must_enrol=self.must_enrol(operator),
        )

    def must_enrol(self, operator: Operator) -> bool:
        """Return whether the operator must set up a second factor before anything else. Operators of an identity
        provider use its second factor."""
        return self.requires_mfa and not operator.has_mfa and operator.subject is None

    def check_network(self, address: str | None) -> None:
        """Raise Forbidden unless operators may connect from this address."""
        parsed = ip_addresses.parse(address) if self._networks else None
        if self._networks and (parsed is None or not any(parsed in network for network in self._networks)):
            raise Forbidden(WRONG_NETWORK)

    async def session(self, request: AuthRequest) -> OperatorSession:
        """Return the request's session. Raises Unauthenticated."""
        token = request.cookie()
        session = None if token is None else await self._operators.session(keys.digest(token))
        now = self._clock.now()
        if (
            session is None
            or now >= session.created_at + self._longest(session.operator)
            or now >= session.seen_at + IDLE_MS
        ):
            raise Unauthenticated("Sign in: this session of the console has ended.")
        if now >= session.seen_at + TOUCH_MS:
            await self._operators.touch_session(session.digest, now)
        return session

    def _longest(self, operator: Operator) -> int:
        return SESSION_MS if operator.subject is None else self._external_session_ms

    async def own_sessions(self, request: AuthRequest) -> list[tuple[OperatorSession, bool]]:
        """Return the open sessions of the request's operator, that of the request first, and of each whether it is that of the
        request."""
        current, now = await self.session(request), self._clock.now()
        operator = current.operator
        found = await self._operators.sessions_of(
            operator, now - self._longest(operator), now - IDLE_MS, current.digest, MAX_LISTED_SESSIONS
        )
        return [(one, one.digest == current.digest) for one in found]

    async def end_own_session(self, request: AuthRequest, id: str) -> OperatorSession | None:
        """End a session of the request's operator; return it, or None if there is none with this id."""
        operator = (await self.session(request)).operator
        try:
            return await self._operators.end_session_of(operator, bytes.fromhex(id))
        except ValueError:
            return None

    async def create(self, name: str, role: Role, hashed: str, tenants: tuple[str, ...] | None = None) -> Operator:
        """Create an operator, for some tenants or all. Raises Conflict if the name is taken."""
        operator = self.new_operator(name, role, tenants)
        if not await self._operators.create(operator, hashed):
            raise Conflict("An operator with this name already exists.")
        return operator

    async def change_own_password(self, request: AuthRequest, current: str, password: str) -> SignedIn:
        """Change the password of the request's operator, end all its sessions and start a new one. Raises Conflict if
        the password was changed in the meantime."""
        self.check_page(request)
        session = await self.session(request)
        before = await self._verify_in(session, current)
        hashed = await self.hash(password)
        # An owner may have ended the session while this request waited.
        operator = (await self.session(request)).operator
        await self._operators.change(operator.id, None, hashed, password_before=before)
        return await self.start(request, operator, hashed=hashed)

    async def begin_email(self, operator: Operator, email: str) -> str:
        """Return the code that confirms a new address. The one before is no longer valid. Raises TooMany."""
        await self._count(
            f"email-codes:{operator.id}", MAX_EMAIL_CODES, "Too many codes: wait before you ask for another."
        )
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        pending = PendingEmail(email, code, self._clock.now() + EMAIL_CODE_MS)
        text = msgspec.json.encode(pending).decode()
        await self._operators.begin_email(operator.id, self._cipher.encrypt(text, _email_place(operator)))
        return code

    async def confirm_email(self, operator: Operator, code: str) -> None:
        """Confirm the new address. Raises Invalid for a wrong code, Conflict if a new one is needed."""
        stored = await self._operators.pending_email(operator.id)
        try:
            text = self._cipher.decrypt(stored or "", _email_place(operator))
        except ValueError:
            raise Conflict("Ask for a code first.") from None
        pending = msgspec.json.decode(text, type=PendingEmail)
        now = self._clock.now()
        # Counted before the comparison, so that concurrent guesses cannot exceed the limit. The ciphertext begins with a
        # random nonce, so each code has its own count.
        place = f"email-code:{operator.id} {(stored or '')[:CODE_BYTES]}"
        await self._operators.add_failure([place], now)
        tries, _ = await self._operators.failures(place, now, EMAIL_CODE_MS)
        if tries > EMAIL_CODE_TRIES or now >= pending.expires_at:
            await self._operators.begin_email(operator.id, None)
            raise Conflict("This code has expired, or was entered wrong too often: ask for another.")
        if not secrets.compare_digest(factors.normalize(code).encode(), pending.code.encode()):
            left = EMAIL_CODE_TRIES - tries
            raise Invalid.of("code", f"is wrong: {left} {'attempt' if left == 1 else 'attempts'} left")
        if not await self._operators.confirm_email(operator.id, stored or "", pending.email):
            raise Conflict("Another address was entered in the meantime: confirm that one.")
        await self._operators.clear_failures(place)

    async def count_own_test(self, name: str) -> None:
        """Count a test that an operator, or the user of an embedded editor, sends to itself. Raises TooMany."""
        await self._count(
            f"own-tests:{name}", MAX_OWN_TESTS, f"You may send yourself {MAX_OWN_TESTS} tests in 10 minutes."
        )

    async def _count(self, subject: str, maximum: int, message: str) -> None:
        """Count one of the uses of 10 minutes, on all nodes. Refused ones are not counted. Raises TooMany."""
        now = self._clock.now()
        await self._check_maximum(subject, maximum, now, EMAILS_MS, message)
        await self._operators.add_failure([subject], now)
        # Again, for those that were counted at the same time.
        await self._check_maximum(subject, maximum + 1, now, EMAILS_MS, message)

    def check_page(self, request: AuthRequest) -> None:
        """Raise Forbidden unless a page of this server sent the request, over HTTPS or on the server's machine."""
        request.check_own_page()
        self.check_channel(request)

    def check_channel(self, request: AuthRequest) -> None:
        """Raise Forbidden unless the request came over HTTPS or from the server's machine, and from an allowed network."""
        self.check_network(request.address)
        if request.scheme != "https" and not request.is_local:
            raise Forbidden(INSECURE)

    def new_operator(
        self, name: str, role: Role, tenants: tuple[str, ...] | None = None, subject: str | None = None
    ) -> Operator:
        """Return an operator with a new id, without storing it."""
        now = self._clock.now()
        return Operator(id=self._new_id(now), name=name, role=role, tenants=tenants, created_at=now, subject=subject)

    def _device(self, request: AuthRequest) -> list[str] | None:
        """Return the id of a device from which an operator signed in before, and the name of that operator."""
        cookie = request.cookie(DEVICE)
        try:
            return self._cipher.decrypt(cookie or "", DEVICE_PLACE).split(" ")
        except ValueError:
            return None

    async def _verify(
        self, name: str, password: str, delayed: str, maximums: Mapping[str, int], second: str | None = None
    ) -> tuple[Operator, str]:
        """Check the password and, unless `second` is None, the second factor. Failures of both are counted together, for
        subjects with a maximum, and for `delayed`, which must wait longer after each. Return the operator, and the hash of the
        password."""
        counted = [delayed, *maximums]
        now = self._clock.now()
        for subject, maximum in maximums.items():
            await self._check_maximum(subject, maximum, now)
        failures, latest = await self._operators.failures(delayed, now, WINDOW_MS)
        if failures >= ACCOUNT_FAILURES:
            delay = min(FIRST_DELAY_MS << (failures - ACCOUNT_FAILURES), WINDOW_MS)
            if now < latest + delay:
                raise _too_many(latest + delay - now)
        found = await self._operators.find(name)
        # Created for any name, so that the first unknown one after a start does not take twice as long.
        if self._decoy is None:
            self._decoy = await asyncio.to_thread(factors.hash_password, secrets.token_urlsafe(TOKEN_BYTES))
        decoy = self._decoy
        hashed = decoy if found is None else found[1]
        is_right = await asyncio.to_thread(factors.matches_password, password, hashed)
        if found is None or not is_right or found[0].subject is not None:
            await self._operators.add_failure(counted, now)
            raise Unauthenticated(WRONG)
        if second is not None and found[0].has_mfa:
            if not second:
                raise MfaRequired
            if not await self.second_factors.use(found[0], factors.normalize(second), now):
                await self._operators.add_failure(counted, now)
                raise Unauthenticated(WRONG_SECOND)
        await self._operators.clear_failures(delayed)
        return found

    async def _verify_in(self, session: OperatorSession, password: str) -> str:
        """Check the password in an open session, whose failures are counted alone. Return its hash."""
        subject = f"session:{session.digest.hex()}"
        work = functools.partial(self._verify, session.operator.name, password, subject, {})
        return (await self._alone(work, is_known=True))[1]

    async def count_attempt(self, kind: str, request: AuthRequest) -> tuple[str, str]:
        """Count an unfinished attempt as a failure of its device or its address, so that concurrent attempts cannot exceed the
        limit. Return the subject, to clear the count after a success, and the id of this failure. Raises TooMany."""
        device, now = self._device(request), self._clock.now()
        place = f"{kind}:{_network(request.address) if device is None else device[0]}"
        await self._check_maximum(place, ADDRESS_FAILURES, now)
        (failure,) = await self._operators.add_failure([place], now)
        return place, failure

    async def _check_maximum(
        self, subject: str, maximum: int, now: int, window: int = WINDOW_MS, message: str = TOO_MANY
    ) -> None:
        """Raise TooMany if a subject has this many failures in the last `window` milliseconds."""
        failures, latest = await self._operators.failures(subject, now, window)
        if failures >= maximum:
            raise _too_many(latest + window - now, message)

    async def hash(self, password: str) -> str:
        """Return the hash of a new password. It may wait for 16 others, so callers must repeat their checks afterwards.
        Raises TooMany."""
        return await self._alone(lambda: asyncio.to_thread(factors.hash_password, password), is_known=True)

    async def _alone(self, work: Callable[[], Awaitable[T]], *, is_known: bool) -> T:
        """Run one attempt at a time, so that concurrent guesses cannot exceed the limit of failures. Guesses of strangers, of
        which each address has a few, must not keep operators from revoking a leaked key."""
        if self._waiting[is_known] >= MAX_WAITING:
            raise TooMany("Too many operators are signing in: try again.", retry_after=2)
        self._waiting[is_known] += 1
        try:
            async with self._hashing[is_known]:
                return await work()
        finally:
            self._waiting[is_known] -= 1

    async def start(
        self, request: AuthRequest, operator: Operator, verified_at: int | None = None, *, hashed: str | None = None
    ) -> SignedIn:
        """Start a session with a new token, so that a token planted before the sign-in is worthless. The operator proved its
        identity at `verified_at`, by default now. Raises Unauthenticated if the operator was deleted in the meantime, or
        the hash of its password is no longer `hashed`."""
        await self._end(request)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock.now()
        at = now if verified_at is None else min(verified_at, now)
        # To recognize the browser by. Its address is not stored: it would record where the operator was.
        agent = "".join(filter(str.isprintable, request.header(b"user-agent") or ""))[:MAX_USER_AGENT] or None
        if not await self._operators.start_session(keys.digest(token), operator.id, now, at, hashed, agent):
            raise Unauthenticated(WRONG)
        cookie = request.make_cookie(token, SESSION_MS // 1000)
        device = self._cipher.encrypt(f"{secrets.token_hex(DEVICE_ID_BYTES)} {operator.name}", DEVICE_PLACE)
        return SignedIn(operator, (cookie, request.make_cookie(device, DEVICE_SECONDS, DEVICE)))

    async def _end(self, request: AuthRequest) -> None:
        token = request.cookie()
        if token is not None:
            await self._operators.end_session(keys.digest(token))


def _email_place(operator: Operator) -> str:
    return f"operators/{operator.id}/email"


def _network(address: str | None) -> str:
    """Return the network for which failures are counted: an IPv6 user has a whole /64 network."""
    parsed = ip_addresses.parse(address)
    if parsed is None:
        return address or ""
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network(f"{parsed}/64", strict=False))


def _too_many(milliseconds: int, message: str = TOO_MANY) -> BellcastError:
    return TooMany(message, retry_after=max(1, -(-milliseconds // 1000)))
