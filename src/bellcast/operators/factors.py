"""What operators prove their identity with: passwords, one-time codes of authenticator apps (RFC 6238), and recovery codes. Passkeys
are in `passkeys`."""

import base64
import hashlib
import hmac
import secrets
import struct
import unicodedata
from urllib.parse import quote

import structlog
from msgspec import Struct

from bellcast.auth import keys
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Conflict, FieldError, Invalid
from bellcast.kernel.field_limits import ValueRule
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors
from bellcast.operators.store import Operators
from bellcast.operators.types import Operator

log = structlog.get_logger(__name__)

# --- passwords

# Argon2id (RFC 9106, second recommended option with 64 MiB).
SALT_BYTES = 16
HASH_BYTES = 32
ITERATIONS = 3
LANES = 1
MEMORY_KIB = 64 * 1024
MIN_PASSWORD = 12
# Longer passwords are no safer; the limit bounds the size of requests.
MAX_PASSWORD = 1024


def check_password(field: str, password: str, _: Limits) -> FieldErrors:
    """Yield an error unless the password has 12 to 1024 characters."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        yield FieldError(field, f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters, got {len(password)}")


NEW_PASSWORD = ValueRule(check_password, lambda _: {"minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD})


def hash_password(password: str) -> str:
    """Return the hash in PHC string format. Takes about 0.1 s and 64 MiB."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # 9 MB, only for servers whose console is used

    kdf = Argon2id(
        salt=secrets.token_bytes(SALT_BYTES),
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(_bytes(password))


def matches_password(password: str, hashed: str) -> bool:
    """True if the hash belongs to this password. Takes as long as `hash_password`."""
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(_bytes(password), hashed)
    except InvalidKey:
        return False
    return True


def _bytes(password: str) -> bytes:
    # Keyboards encode accents in different ways; NIST SP 800-63B requires a normal form.
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")


# --- one-time codes and recovery codes

# The algorithm, digits and period that all authenticator apps support.
DIGITS = 6
PERIOD_MS = 30_000
# RFC 4226, 4: 160 bits are recommended.
SECRET_BYTES = 20
# A code is accepted one period early and late, because phones' clocks differ and people type slowly (RFC 6238, 5.2).
DRIFT_STEPS = 1
# Pixels per module, and a margin of four modules (ISO/IEC 18004, 9.1).
QR_SCALE, QR_MARGIN = 4, 4
RECOVERY_CODES = 10
# 80 bits, which cannot be guessed from a stolen digest.
RECOVERY_BYTES = 10
GROUP = 4


class SecondFactors(Struct, eq=False):
    """The authenticator apps and the recovery codes of operators."""

    operators: Operators
    cipher: Encryption
    clock: Clock

    async def begin(self, operator: Operator) -> str:
        """Create a secret for an authenticator app. It takes effect once a code confirms it."""
        secret = make_secret()
        await self.operators.begin_mfa(operator.id, self.cipher.encrypt(secret, _place(operator)))
        return secret

    async def confirm(self, operator: Operator, code: str) -> list[str]:
        """Activate the new secret and return the recovery codes. Raises Conflict if there is no new secret, Invalid for
        a wrong code."""
        _, pending = await self.operators.mfa_secrets(operator.id)
        secret = self._decrypted(pending, operator)
        if pending is None or secret is None:
            raise Conflict("Set up an authenticator app first.")
        step = matching_step(secret, normalize(code), self.clock.now())
        if step is None:
            raise Invalid.of("code", "is wrong: enter the code that the app shows now, and check the phone's clock")
        codes = make_recovery_codes()
        digests = [keys.digest(normalize(one)) for one in codes]
        if not await self.operators.confirm_mfa(operator.id, pending, step, digests):
            raise Conflict("Another authenticator app was set up in the meantime: start again.")
        return codes

    async def replace_recovery_codes(self, operator: Operator) -> list[str]:
        """Replace the recovery codes. Raises Conflict if the operator has no second factor."""
        if not operator.has_mfa:
            raise Conflict("Set up an authenticator app or a passkey first.")
        codes = make_recovery_codes()
        await self.operators.replace_recovery_codes(operator.id, [keys.digest(normalize(one)) for one in codes])
        return codes

    async def use(self, operator: Operator, code: str, now: int) -> bool:
        """Accept the code of an authenticator app or a recovery code, each once; return whether it is right."""
        current, _ = await self.operators.mfa_secrets(operator.id)
        secret = self._decrypted(current, operator)
        # Without a secret, the operator has no authenticator app, or it was just reset.
        step = None if secret is None else matching_step(secret, code, now)
        if step is not None:
            return await self.operators.use_mfa_step(operator.id, step)
        return await self.operators.use_recovery_code(operator.id, keys.digest(code))

    def _decrypted(self, secret: str | None, operator: Operator) -> str | None:
        """Decrypt the secret of an authenticator app. None for a secret that was stored before the project secret was
        replaced: recovery codes stay valid."""
        try:
            return None if secret is None else self.cipher.decrypt(secret, _place(operator))
        except ValueError:
            log.warning("mfa_secret_unreadable", operator=operator.id, reason="encrypted with another project secret")
            return None


def _place(operator: Operator) -> str:
    return f"operator {operator.id}"


def make_secret() -> str:
    """Return a new secret, in base32 as authenticator apps expect it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def uri(secret: str, name: str, issuer: str) -> str:
    """Return the URI that adds the secret to an authenticator app."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"


def qr_code(uri: str) -> str:
    """Return a QR code of the URI as an SVG `data:` URI. It is dark on light with a margin, which all cameras can
    read."""
    import segno  # takes 20 ms, and few requests need it

    code = segno.make_qr(uri, error="m")
    image: str = code.svg_data_uri(scale=QR_SCALE, border=QR_MARGIN, dark="#000", light="#fff", omitsize=False)
    return image


def matching_step(secret: str, code: str, now: int) -> int | None:
    """Return the period of the code, or None if it is wrong now. The caller must accept each period only once."""
    current = now // PERIOD_MS
    steps = range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
    given = code.encode(errors="surrogatepass")
    matching = [step for step in steps if hmac.compare_digest(code_of(secret, step).encode(), given)]
    return max(matching, default=None)


def code_of(secret: str, step: int) -> str:
    """Return the code of a period."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1)
    offset = digest[-1] & 0x0F
    (number,) = struct.unpack_from(">I", digest, offset)
    return f"{(number & 0x7FFFFFFF) % 10**DIGITS:0{DIGITS}}"


def make_recovery_codes() -> list[str]:
    """Return new codes, each for one sign-in without the authenticator app."""
    codes = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP)) for code in codes]


def normalize(code: str) -> str:
    """Return a code without spaces and hyphens between groups."""
    return "".join(one for one in code.lower() if not one.isspace() and one != "-")
