"""Push notifications to Apple devices: APNs with token authentication over HTTP/2."""

from collections.abc import Sequence
from typing import Any

import jwt

from bellcast.channels import push
from bellcast.kernel import times
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import vendor_api
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Setup

# Apple refuses tokens older than an hour, and those renewed more often than every 20 minutes.
TOKEN_SECONDS = 2400
# The status of a device token that is no longer valid.
GONE = 410
WRONG_DEVICE = "BadDeviceToken"
# Settings to check, by reasons that a wrong setting causes for all devices.
CHECKS = {
    WRONG_DEVICE: "the device token is malformed or of Apple's other environment: check the host in the provider's URL "
    "(default for production, api.sandbox.push.apple.com for development builds)",
    "DeviceTokenNotForTopic": "the device token is of another app: check the topic in the provider's URL, which must be "
    "the app's bundle id",
}
# Response for a token, signed by this server, that is older than an hour by Apple's clock.
EXPIRED_TOKEN = "ExpiredProviderToken"  # noqa: S105  a reason of the API


class APNsProvider(vendor_api.VendorProvider):
    """A provider for Apple device tokens: `apns://TEAM:KEY@default?key=AuthKey.p8&topic=com.example.app`, or `key_base64` with
    the file's content."""

    kinds: Sequence[AddressKind] = ("apns",)
    api = "https://api.push.apple.com"
    options = frozenset({"key", "key_base64", "topic"})

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, setup.http2)
        if not self._url.user or not self._url.password:
            raise ValueError("needs the team id and the key id: apns://TEAM:KEY@default")
        pem = vendor_api.read_credentials(self._url, "key", may_read_files=setup.may_read_files)
        if not pem or not self._url.options.get("topic"):
            raise ValueError("needs the key's file and the app's bundle id: add ?key=FILE&topic=com.example.app")
        self._private = vendor_api.private_key(pem)
        self._token = ""
        self._signed_at = 0.0

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Send an alert. `apns-id` is the message's id, so that a repeated request is the same notification."""
        content: dict[str, Any] = message.content
        shown = push.fitted(content, push.APP_FIELDS)
        alert = {"title": shown.pop("title", ""), "body": shown.pop("body", "")}
        payload = {"aps": {"alert": alert, "sound": "default"}, **shown}
        now = self._setup.clock.now() / 1000
        if not 0 <= now - self._signed_at <= TOKEN_SECONDS:
            claims = {"iss": self._url.user, "iat": int(now)}
            self._token = jwt.encode(claims, self._private, algorithm="ES256", headers={"kid": self._url.password})
            self._signed_at = now
        headers = {
            "authorization": f"bearer {self._token}",
            "apns-topic": self._url.options["topic"],
            "apns-push-type": "alert",
            "apns-id": message.id,
            "apns-priority": "10" if content.get("priority") in ("high", "urgent") else "5",
        }
        response = await self._endpoint.post_json(f"/3/device/{message.to}", payload, headers)
        if response.status != 200:
            reason = vendor_api.text_of(vendor_api.json_body(response).get("reason"))
            if reason == EXPIRED_TOKEN:
                self._signed_at = 0.0  # the clocks differ: the next attempt uses a new token
            if reason in CHECKS:
                reason = f"{reason}: {CHECKS[reason]}"
            raise vendor_api.error_of(response, reason, is_bounce=response.status == GONE)
        return AcceptedMessage("200", None, response.headers.get("apns-id"))

    async def check(self) -> None:
        """Send to an invalid device token: APNs refuses the device (400), or the credentials (403)."""
        now = times.to_rfc3339(self._setup.clock.now())
        try:
            await self.send(OutgoingMessage(id="00000000-0000-0000-0000-000000000000", to="00", at=now, content={}))
        except DeliveryError as error:
            if not error.response.startswith(WRONG_DEVICE):
                raise
