"""Text messages through Vonage's SMS API (`/sms/json`)."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from bellcast.channels.types import State
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import types, vendor_api
from bellcast.templates.types import GSM, GSM_DOUBLE

ACCEPTED = "0"
# Throttled, invalid credentials, internal error, account without credit, too many connections.
TEMPORARY = frozenset({"1", "4", "5", "8", "9", "10", "14", "99"})
# Number barred; recipient is not a valid number.
BOUNCES = frozenset({"7", "33"})
STATES: Mapping[str, State] = {
    "delivered": "delivered",
    "failed": "failed",
    "rejected": "failed",
    "expired": "failed",
}
# Replaces the separators in values when a receipt is signed.
SIGNED = str.maketrans("&=", "__")
# Any other character needs `type=unicode`, with 70 characters per part.
GSM_TEXT = GSM | GSM_DOUBLE


class VonageProvider(vendor_api.VendorProvider):
    """A provider of text messages: `vonage://KEY:SECRET@default?from=Shop&signature_secret=…`."""

    kinds: Sequence[types.AddressKind] = ("sms",)
    api = "https://rest.nexmo.com"
    options = frozenset({"from", vendor_api.SIGNATURE})

    def __init__(self, setup: types.Setup) -> None:
        super().__init__(setup)
        if not self._url.user or not self._url.password:
            raise ValueError("needs the API key and the secret: vonage://KEY:SECRET@default")
        if not self._url.options.get("from"):
            raise ValueError("needs a sender: add ?from=Shop")

    async def send(self, message: types.OutgoingMessage) -> types.AcceptedMessage:
        """Send one message. The API responds with 200 and a status for each part of a long text. If a part is refused, all are sent
        again: a phone shows a text only when it has all parts of one request."""
        text = message.content["text"]
        fields = {
            "from": self._url.options["from"].lstrip("+"),
            "to": message.to.lstrip("+"),
            "text": text,
            "type": "text" if GSM_TEXT.issuperset(text) else "unicode",
            "client-ref": message.id,
        }
        if self._setup.receipts_url is not None:
            fields["callback"] = self._setup.receipts_url
        parts = await self._post(fields)
        for part in parts:
            if part.get("status") != ACCEPTED:
                raise _error(part)
        return types.AcceptedMessage(ACCEPTED, None, vendor_api.text_of(parts[0].get("message-id")))

    async def check(self) -> None:
        """Check the credentials with a message without a recipient: wrong credentials are refused with 4, missing
        fields later with 2."""
        part = (await self._post({}))[0]
        if part.get("status") in TEMPORARY:
            raise _error(part)

    async def _post(self, fields: Mapping[str, str]) -> list[Mapping[str, str]]:
        credentials = {"api_key": self._url.user or "", "api_secret": self._url.password or ""}
        response = await self._endpoint.post_form("/sms/json", {**credentials, **fields}, {})
        if response.status != 200:
            raise vendor_api.error_of(response)
        parts = vendor_api.json_body(response).get("messages")
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            raise vendor_api.unreadable(response)
        return parts

    def receipt(self, request: types.ReceiptRequest) -> types.Receipt | types.OptOut | None:
        """Return a delivery receipt, or a reply with STOP or START. Raises PermissionError if `sig` is wrong: the
        HMAC-SHA256 of `&name=value` of the sorted fields, with & and = in values replaced by _. Its key is the account's
        signature secret; without one in the URL, the API secret."""
        secret = self._url.options.get(vendor_api.SIGNATURE) or self._url.password or ""
        fields = {name: value for name, value in request.form.items() if name != "sig"}
        signed = "".join(f"&{name}={fields[name].translate(SIGNED)}" for name in sorted(fields))
        digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(digest.encode(), request.form.get("sig", "").lower().encode()):
            raise PermissionError("the signature is wrong")
        if "text" in fields and "status" not in fields:
            return types.opt_out("+" + fields.get("msisdn", "").lstrip("+"), fields["text"])
        state = STATES.get(fields.get("status", ""))
        return None if state is None else types.Receipt(fields.get("messageId", ""), state, fields.get("err-code"))


def _error(part: Mapping[str, str]) -> DeliveryError:
    status = str(part.get("status"))
    return DeliveryError(
        str(part.get("error-text", "refused")),
        code=status,
        is_temporary=status in TEMPORARY,
        is_bounce=status in BOUNCES,
    )
