"""Hashes of passwords: Argon2id (RFC 9106, second recommended option with 64 MiB)."""

import secrets
import unicodedata

from bellcast.kernel.errors import FieldError
from bellcast.kernel.field_limits import ValueRule
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors

SALT_BYTES = 16
HASH_BYTES = 32
ITERATIONS = 3
LANES = 1
MEMORY_KIB = 64 * 1024
MIN_LENGTH = 12
# Longer passwords are no safer; the limit bounds the size of requests.
MAX_LENGTH = 1024


def check(field: str, password: str, _: Limits) -> FieldErrors:
    """Yield an error unless the password has 12 to 1024 characters."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        yield FieldError(field, f"must have {MIN_LENGTH} to {MAX_LENGTH} characters, got {len(password)}")


NEW_PASSWORD = ValueRule(check, lambda _: {"minLength": MIN_LENGTH, "maxLength": MAX_LENGTH})


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


def matches(password: str, hashed: str) -> bool:
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
