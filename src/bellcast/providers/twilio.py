"""Text messages through Twilio's Programmable Messaging API (version 2010-04-01)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from bellcast.channels.types import State
from bellcast.kernel.outbound import Response
from bellcast.providers import types, vendor_api

# The recipient replied STOP; the number cannot receive text messages or does not exist.
BOUNCES = frozenset({"21610", "21211", "21214", "21614", "30005", "30006"})
STATES: Mapping[str, State] = {
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
}


class TwilioProvider(vendor_api.VendorProvider):
    """A provider of text messages: `twilio://SID:TOKEN@default?from=+12025550123`."""

    kinds: Sequence[types.AddressKind] = ("sms",)
    api = "https://api.twilio.com"
    options = frozenset({"from"})

    def __init__(self, setup: types.Setup) -> None:
        super().__init__(setup)
        if not self._url.user or not self._url.password:
            raise ValueError("needs the account SID and the auth token: twilio://SID:TOKEN@default")
        if not self._url.options.get("from"):
            raise ValueError("needs a sender: add ?from=%2B12025550123 (the + of a number is written as %2B)")

    async def send(self, message: types.OutgoingMessage) -> types.AcceptedMessage:
        """Create a Message resource."""
        sender = self._url.options["from"].replace(" ", "+")
        kind = "MessagingServiceSid" if sender.startswith("MG") else "From"
        fields = {"To": message.to, kind: sender, "Body": message.content["text"]}
        if self._setup.receipts_url is not None:
            fields["StatusCallback"] = self._setup.receipts_url
        response = await self._post(fields)
        body = vendor_api.json_body(response)
        reference = vendor_api.text_of(body.get("sid"))
        is_refused = not 200 <= response.status < 300
        if is_refused or STATES.get(str(body.get("status"))) == "failed":
            code, reason = ("code", "message") if is_refused else ("error_code", "error_message")
            error = vendor_api.error_of(response, body.get(reason), is_bounce=str(body.get(code)) in BOUNCES)
            if not is_refused:  # a status of success is no code of a failure
                error.code = None if body.get(code) is None else str(body[code])
            raise error
        # With 201 the message exists, even if its body is lost on the way: another try would send it twice. Compatible
        # servers respond with 200 and a SID, which a proxy's page does not have.
        if response.status != 201 and reference is None:
            raise vendor_api.unreadable(response)
        return types.AcceptedMessage(str(response.status), vendor_api.text_of(body.get("status")), reference)

    async def check(self) -> None:
        """Check the credentials with an empty message: wrong credentials are refused with 401, missing fields later
        with 400."""
        response = await self._post({})
        if response.status != 400:
            raise vendor_api.error_of(response, vendor_api.json_body(response).get("message"))

    def receipt(self, request: types.ReceiptRequest) -> types.Receipt | types.OptOut | None:
        """Return a status callback, or a reply with STOP or START. Raises PermissionError if its signature is wrong:
        base64 of the HMAC-SHA1 of the URL and the sorted fields, with the auth token as the key."""
        signed = request.url + "".join(name + request.form[name] for name in sorted(request.form))
        digest = hmac.new((self._url.password or "").encode(), signed.encode(), hashlib.sha1).digest()
        given = request.headers.get("x-twilio-signature", "")
        if not hmac.compare_digest(base64.b64encode(digest), given.encode()):
            raise PermissionError("the signature is wrong")
        if request.form.get("SmsStatus") == "received" or "OptOutType" in request.form:
            word = request.form.get("OptOutType") or request.form.get("Body", "")
            return types.opt_out(request.form.get("From", ""), word)
        state = STATES.get(request.form.get("MessageStatus", ""))
        if state is None:
            return None
        code = request.form.get("ErrorCode")
        is_bounce = code in BOUNCES
        return types.Receipt(request.form.get("MessageSid", ""), "bounced" if is_bounce else state, code)

    async def _post(self, fields: Mapping[str, str]) -> Response:
        credentials = base64.b64encode(f"{self._url.user}:{self._url.password}".encode()).decode()
        path = f"/2010-04-01/Accounts/{self._url.user}/Messages.json"
        return await self._endpoint.post_form(path, fields, {"authorization": f"Basic {credentials}"})
