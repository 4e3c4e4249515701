"""What providers of vendors share: the URL that configures one, and the vendor's HTTP API.

The scheme of a provider's URL identifies the vendor, and the rest is vendor-specific (`smtp://user:password@host:587?from=…`).
Credentials beside user and password are a file of the operator, or Base64. Hints show a part of secrets."""

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.ip_addresses import is_server
from bellcast.kernel.outbound import DeliveryError, Http, Response, is_temporary, parse_retry_after
from bellcast.providers.types import Provider, SecretHint, ServerAddress, Setup

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

# Instead of the vendor's own servers, for tests and gateways: `twilio://SID:TOKEN@localhost:9000?tls=off`.
VENDOR_HOST = "default"
# In place of credentials.
MASKED = "…@"


class ProviderURL(Struct, frozen=True, kw_only=True):
    """The parts of a provider's URL, decoded. Its `repr` hides the credentials."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"ProviderURL({self.masked})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("url", self.masked)]

    @property
    def masked(self) -> str:
        """The URL for display: without credentials, and without options, which may contain file names."""
        credentials = MASKED if self.user or self.password else ""
        return f"{self.scheme}://{credentials}{self.address}"

    @property
    def address(self) -> str:
        """Host and port as in a URL: an IPv6 address has brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def uses_tls(self) -> bool:
        """False only with `?tls=off`."""
        return self.options.get("tls") != "off"


def mask(text: str) -> str:
    """Return a URL for display: without credentials, options and paths, each of which may contain a secret."""
    parts = urlsplit(text.strip())
    if "+" in parts.scheme:  # a URL of Apprise, whose services have secrets in any part
        return f"{parts.scheme}://…"
    credentials = MASKED if "@" in parts.netloc else ""
    return f"{parts.scheme}://{credentials}{parts.netloc.rpartition('@')[2]}"


def with_credentials_of(text: str, stored: str) -> str:
    """Replace `…@` in a URL with the credentials of the stored one, and missing options with the stored ones; those of KEPT
    also if others are given. Raises ValueError if they would be sent to another server, or without TLS."""
    if text.strip() == mask(stored):
        return stored
    try:
        given = urlsplit(text.strip())
    except ValueError:
        return text  # `parse` refuses it
    if not given.netloc.startswith(MASKED):
        return text
    own = urlsplit(stored)
    host = given.netloc.removeprefix(MASKED)
    query = given.query or own.query
    options = dict(parse_qsl(query, keep_blank_values=True))
    kept = {name: value for name, value in parse_qsl(own.query) if name in KEPT and name not in options}
    if kept:
        query += "&" + urlencode(kept)
    is_same = (given.scheme, host) == (own.scheme, own.netloc.rpartition("@")[2])
    if not is_same or "@" not in own.netloc or _tls(query) != _tls(own.query):
        raise ValueError("needs its credentials again: the stored ones are only for the stored server")
    return urlunsplit(given._replace(netloc=own.netloc, query=query, path=given.path or own.path))


def _tls(query: str) -> str | None:
    return dict(parse_qsl(query)).get("tls")


def split(text: str) -> SplitResult:
    """Split a provider's URL, whose host and port can be connected to. Raises ValueError."""
    with suppress(ValueError):
        parts = urlsplit(text.strip())
        if parts.scheme and is_server(parts.netloc.rpartition("@")[2]):
            return parts
    raise ValueError(
        "must be a URL with a host name such as smtp://user:password@mail.example.com:587; percent-encode special characters "
        "in user and password, such as # as %23"
    )


def parse(text: str, *, known_options: frozenset[str] = frozenset()) -> ProviderURL:
    """Parse a provider's URL. Raises ValueError with a message that never contains the URL, which has a secret."""
    parts = split(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - known_options - {"tls"})
    if unknown:
        raise ValueError(f"has an unknown option {unknown[0]!r}: expected {', '.join(sorted(known_options | {'tls'}))}")
    if options.get("tls", "off") != "off":
        raise ValueError("has an unknown value of tls: expected off")
    return ProviderURL(
        scheme=parts.scheme,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        host=parts.hostname or "",
        port=parts.port,
        options=options,
    )


# --- credentials in the URL, or in a file that it names

# Private keys and service accounts have up to 4 KiB.
MAX_CREDENTIAL_BYTES = 65_536
# An option `key=FILE` has the inline form `key_base64=…`.
INLINE = "_base64"
HIDDEN = SecretHint(set=True, hint="…")
# The last characters of a password or token. Fewer than 20 could be guessed with them.
SHOWN_CHARACTERS, MIN_CHARACTERS = 4, 20
# Options that contain the credentials, or name the file that contains them.
CREDENTIAL_OPTIONS = frozenset(name + suffix for name in ("key", "credentials") for suffix in ("", INLINE))
# The secret with which a vendor signs receipts, if it is not that of its API.
SIGNATURE = "signature_secret"
# The options that a URL for display hides from a form whose fields change another one.
KEPT = frozenset({SIGNATURE, "from", "tls"})


def read_credentials(url: ProviderURL, option: str, *, may_read_files: bool) -> bytes | None:
    """Return the credentials of an option, or None without any. Raises ValueError.

    Only the operator's settings may name files. Over REST, a caller could probe the server's files and use its keys
    with any host."""
    inline, file = url.options.get(option + INLINE), url.options.get(option)
    if inline:
        # Accepts both alphabets; an unescaped plus sign in a query is a space.
        url_safe = inline.translate(str.maketrans(" +/", "--_")).rstrip("=")
        try:
            return base64.b64decode(url_safe + "=" * (-len(url_safe) % 4), altchars="-_", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"has an option {option}{INLINE} that is not Base64") from None
    if not file:
        return None
    if not may_read_files:
        raise ValueError(
            f"cannot name a file of the server: replace {option}=FILE by {option}{INLINE}= and the file's content in Base64"
        )
    content, path = None, Path(file)
    with suppress(OSError, ValueError):
        if path.is_file():  # a pipe or a device would block the event loop
            with path.open("rb") as opened:
                content = opened.read(MAX_CREDENTIAL_BYTES + 1)
    if content is None or len(content) > MAX_CREDENTIAL_BYTES:
        raise ValueError(
            f"cannot be used, because {file} is not a readable file of at most {MAX_CREDENTIAL_BYTES} bytes"
        )
    return content


def private_key(pem: bytes) -> "ec.EllipticCurvePrivateKey":
    """Read a P-256 key. Raises ValueError with a message that continues "the URL"."""
    from cryptography.exceptions import UnsupportedAlgorithm  # 9 MB, and few servers use it
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("has a key that is not a private key in PEM") from None
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return private
    raise ValueError("has a key that is not a P-256 key")


def hint_of(url: str) -> SecretHint:
    """Return the hint of the secret in a provider's URL."""
    parts = urlsplit(url.strip())
    if "+" in parts.scheme:  # a URL of Apprise, whose services have secrets in any place
        return HIDDEN
    if any(name in CREDENTIAL_OPTIONS for name, _ in parse_qsl(parts.query)):
        return HIDDEN
    secret = unquote(parts.password or parts.username or "")
    if len(secret) >= MIN_CHARACTERS:
        return SecretHint(set=True, hint=f"…{secret[-SHOWN_CHARACTERS:]}")
    return HIDDEN if secret else SecretHint(set=False, hint=None)


# --- requests to the API, and the meaning of their status for a message


class VendorAPI(Struct, frozen=True):
    """A vendor's API: its base URL and the timeout of responses."""

    base: str
    http: Http
    timeout: float

    @property
    def server(self) -> ServerAddress:
        """Where it connects to."""
        parts = urlsplit(self.base)
        has_tls = parts.scheme == "https"
        return ServerAddress(parts.hostname or "", parts.port or (443 if has_tls else 80), has_tls)

    async def post(self, path: str, headers: dict[str, str], body: bytes) -> Response:
        """Send a request. Raises DeliveryError if no response arrives; the request may still have been accepted."""
        try:
            return await self.http.request("POST", self.base + path, headers=headers, body=body, timeout=self.timeout)
        except Unavailable as error:
            raise DeliveryError(error.detail, is_temporary=True, is_timeout=error.is_timeout) from None

    async def post_form(self, path: str, fields: Mapping[str, str], headers: dict[str, str]) -> Response:
        """Send `application/x-www-form-urlencoded`."""
        content_type = {"content-type": "application/x-www-form-urlencoded"}
        return await self.post(path, {**headers, **content_type}, urlencode(fields).encode())

    async def post_json(self, path: str, value: Any, headers: dict[str, str]) -> Response:
        """Send JSON."""
        return await self.post(path, {**headers, "content-type": "application/json"}, msgspec.json.encode(value))


class VendorProvider(Provider):
    """A provider of messages through a vendor's API. Raises ValueError, with a message that continues "the URL", for a URL that
    it cannot use."""

    api: ClassVar[str]  # the vendor's own server, which the host `default` names
    options: ClassVar[frozenset[str]] = frozenset()  # in the URL

    def __init__(self, setup: Setup, http: Http | None = None) -> None:
        self._setup = setup
        self._url = parse(setup.url, known_options=self.options)
        self._endpoint = at(self._url, self.api, http or setup.http, setup.timeout)

    @property
    def server(self) -> ServerAddress:
        return self._endpoint.server


def at(url: ProviderURL, vendor: str, http: Http, timeout: float) -> VendorAPI:
    """Return the API on the vendor's own server for the host `default`, else on the host of the URL."""
    own = f"{'https' if url.uses_tls else 'http'}://{url.address}"
    return VendorAPI(vendor if url.host == VENDOR_HOST else own, http, timeout)


def error_of(response: Response, detail: object = None, *, is_bounce: bool = False) -> DeliveryError:
    """Return the error for a status: a problem of the vendor (temporary), or of the message. A bounce is permanent
    regardless of its status. `detail` is the vendor's text; the body replaces a missing or unusable one."""
    return DeliveryError(
        text_of(detail) or response.body.decode(errors="replace"),
        code=str(response.status),
        is_temporary=is_temporary(response.status) and not is_bounce,
        is_bounce=is_bounce,
        retry_after=parse_retry_after(response.headers),
    )


def unreadable(response: Response) -> DeliveryError:
    """Return the error for a success status whose body is not the vendor's, such as a proxy's page: the vendor's
    response is lost."""
    error = error_of(response)
    error.is_temporary = True
    return error


def text_of(value: object) -> str | None:
    """Return a field of a vendor's response, if it is text."""
    return value if isinstance(value, str) else None


def json_body(response: Response) -> dict[str, Any]:
    """Return the JSON object in a response, or an empty one."""
    try:
        body = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
