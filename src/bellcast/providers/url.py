"""A provider's URL. Its scheme identifies the vendor, and the rest is vendor-specific
(`smtp://user:password@host:587?from=…`)."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from msgspec import Struct

from bellcast.kernel.ip_addresses import is_server

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
    """Replace `…@` in a URL with the credentials of the stored one, and missing options with the stored ones. Raises
    ValueError if they would be sent to another server, or without TLS."""
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
