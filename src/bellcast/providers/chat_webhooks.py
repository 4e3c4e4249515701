"""Chat messages to incoming webhooks of Slack, Discord and Microsoft Teams: the address is the credential."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bellcast.channels.addresses import chat_vendor
from bellcast.kernel.outbound import DeliveryError, Http, Response
from bellcast.providers import vendor_api
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Provider

# Maximum characters of one message. Teams takes 28 KB of UTF-16.
MAX_TEXT: Mapping[str, int] = {"slack": 40_000, "discord": 2000, "teams": 12_000}
# The webhook was deleted, or its channel archived.
GONE = frozenset({404, 410})
# Teams refuses messages with status 200 and this text, most with the status in it.
REFUSED = b"Webhook message delivery failed"
STATUS = re.compile(rb"HTTP error (\d{3})")


class ChatWebhookProvider(Provider):
    """A provider for incoming webhooks. `http` must be guarded."""

    kinds: Sequence[AddressKind] = ("webhook",)
    server = None

    def __init__(self, http: Http, *, timeout: float = 30.0) -> None:
        self._http = http
        self._timeout = timeout

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Post to the webhook in its vendor's format."""
        kind = chat_vendor(message.to)
        if kind is None:
            raise DeliveryError("the URL does not belong to a known chat vendor", is_temporary=False, is_bounce=True)
        text = message.content["text"][: MAX_TEXT[kind]]
        # https://api.slack.com/reference/surfaces/formatting#escaping
        body: dict[str, Any] = {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
        if kind == "discord":  # the text must not notify others: `@everyone` stays text
            body = {"content": text, "allowed_mentions": {"parse": []}}
        elif kind == "teams":
            block = {"type": "TextBlock", "text": text, "wrap": True}
            card = {"type": "AdaptiveCard", "version": "1.4", "body": [block]}
            attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
            body = {"type": "message", "attachments": [attachment]}
        endpoint = vendor_api.VendorAPI(message.to, self._http, self._timeout)
        response = await endpoint.post_json("", body, {})
        if kind == "teams" and response.body.startswith(REFUSED):
            found = STATUS.search(response.body)
            response = Response(int(found[1]) if found else 502, response.headers, response.body)
        if not 200 <= response.status < 300:
            raise vendor_api.error_of(response, is_bounce=response.status in GONE)
        return AcceptedMessage(str(response.status))
