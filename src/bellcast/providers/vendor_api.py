"""Requests to a vendor's HTTP API, and the meaning of their status for a message."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound.port import DeliveryError, Http, Response, is_temporary, parse_retry_after
from bellcast.providers.types import Provider, ServerAddress, Setup
from bellcast.providers.urls import VENDOR_HOST, ProviderURL


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
    """A provider of messages through a vendor's API at `base`, with what its URL and its set-up say."""

    def __init__(self, url: ProviderURL, base: str, setup: Setup, http: Http | None = None) -> None:
        self._url = url
        self._setup = setup
        self._endpoint = at(url, base, http or setup.http, setup.timeout)

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
