"""Push notifications to Android and other apps: Firebase Cloud Messaging, HTTP v1 API."""

import asyncio
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec
from msgspec import Struct

from bellcast.channels import push
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import vendor_api
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Setup

MESSAGING = "https://fcm.googleapis.com"
OAUTH = "https://oauth2.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523
ASSERTION_SECONDS = 3600
# An access token is replaced this long before it ends.
RENEWAL_SECONDS = 300
# The error for an app installation's token that is no longer registered.
UNREGISTERED = "UNREGISTERED"
# The error for a token of another Firebase project, which wrong credentials cause for all devices.
MISMATCH = "SENDER_ID_MISMATCH"
MISMATCH_CHECK = (
    f"{MISMATCH}: the device token is of another Firebase project: check the credentials in the provider's URL"
)


class ServiceAccount(Struct, frozen=True):
    """The required fields of a service account's JSON file."""

    project_id: str
    client_email: str
    private_key: str

    def __repr__(self) -> str:
        return f"ServiceAccount({self.client_email!r})"


class FCMProvider(vendor_api.VendorProvider):
    """A provider for FCM registration tokens: `fcm://default?credentials=/run/secrets/service-account.json`, or
    `credentials_base64` with the file's content."""

    kinds: Sequence[AddressKind] = ("fcm",)
    api = OAUTH
    options = frozenset({"credentials", "credentials_base64"})

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        content = vendor_api.read_credentials(self._url, "credentials", may_read_files=setup.may_read_files)
        if not content:
            raise ValueError("needs the file of a service account: fcm://default?credentials=FILE")
        try:
            self._account = msgspec.json.decode(content, type=ServiceAccount)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ValueError("has credentials that are not the JSON of a service account") from None
        self._messaging = vendor_api.at(self._url, MESSAGING, setup.http, setup.timeout)
        self._token = ""
        self._token_ends = 0.0
        self._renewing = asyncio.Lock()
        self._failure: DeliveryError | None = None
        self._failed_at = 0.0

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Send to one registration token."""
        content: dict[str, Any] = message.content
        shown = push.fitted(content, push.APP_FIELDS)
        body = {
            "token": message.to,
            "notification": {"title": shown.pop("title", ""), "body": shown.pop("body", "")},
            "data": shown,
            "android": {"priority": "high" if content.get("priority") in ("high", "urgent") else "normal"},
        }
        path = f"/v1/projects/{self._account.project_id}/messages:send"
        response = await self._messaging.post_json(path, {"message": body}, await self._authorization())
        answer = vendor_api.json_body(response)
        if response.status == 200:
            reference = vendor_api.text_of(answer.get("name"))
            if reference is None:
                raise vendor_api.unreadable(response)
            return AcceptedMessage("200", None, reference)
        if response.status == 401:
            self._token_ends = 0.0  # the next attempt gets a new token
        error = answer.get("error")
        error = error if isinstance(error, dict) else {}
        details = error.get("details")
        items = [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
        codes = {vendor_api.text_of(item.get("errorCode")) for item in items}
        if MISMATCH in codes:
            mismatch = vendor_api.error_of(response, MISMATCH_CHECK)
            mismatch.is_temporary = False  # its status is 403
            raise mismatch
        raise vendor_api.error_of(response, error.get("message"), is_bounce=UNREGISTERED in codes)

    async def check(self) -> None:
        """Get an access token."""
        self._token_ends = 0.0
        await self._authorization()

    async def _authorization(self) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with self._renewing:
            now = self._setup.clock.now() / 1000
            if now > self._token_ends - RENEWAL_SECONDS:
                # Messages that waited for a renewal share its failure: each would wait for a timeout after the other.
                if self._failure is not None and self._failed_at >= started:
                    raise self._failure
                try:
                    await self._renew(int(now))
                except DeliveryError as error:
                    self._failure, self._failed_at = error, loop.time()
                    raise
        return {"authorization": f"Bearer {self._token}"}

    async def _renew(self, now: int) -> None:
        claims = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": f"{self._endpoint.base}/token",
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        try:
            assertion = jwt.encode(claims, self._account.private_key, algorithm="RS256")
        except (ValueError, jwt.PyJWTError):
            raise DeliveryError("the private key of the service account cannot be used", is_temporary=True) from None
        response = await self._endpoint.post_form("/token", {"grant_type": GRANT, "assertion": assertion}, {})
        body = vendor_api.json_body(response)
        if response.status != 200 or not isinstance(body.get("access_token"), str):
            error = vendor_api.error_of(response, body.get("error_description") or body.get("error"))
            error.is_temporary = True  # an error of the credentials is not caused by the message
            raise error
        self._token = body["access_token"]
        seconds = body.get("expires_in")
        self._token_ends = now + (seconds if isinstance(seconds, int | float) else ASSERTION_SECONDS)
