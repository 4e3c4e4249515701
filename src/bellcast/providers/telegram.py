"""Chat messages through Telegram's Bot API."""

from collections.abc import Sequence

from bellcast.kernel.outbound import MAX_RETRY_AFTER, Response
from bellcast.providers import vendor_api
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Setup

# Maximum characters of one message (Bot API, sendMessage).
MAX_TEXT = 4096


class TelegramProvider(vendor_api.VendorProvider):
    """A provider of chat messages to Telegram chats: `telegram://TOKEN@default`."""

    kinds: Sequence[AddressKind] = ("telegram",)
    api = "https://api.telegram.org"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        # The colon in a bot token need not be escaped.
        self._token = ":".join(part for part in (self._url.user, self._url.password) if part)
        if not self._token:
            raise ValueError("needs the bot's token: telegram://TOKEN@default")

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Call sendMessage; `to` is the chat id."""
        text = message.content["text"][:MAX_TEXT]
        response = await self._call("sendMessage", {"chat_id": message.to, "text": text})
        result = vendor_api.json_body(response).get("result")
        reference = str(result.get("message_id")) if isinstance(result, dict) else None
        return AcceptedMessage(str(response.status), None, reference)

    async def check(self) -> None:
        """Call getMe."""
        await self._call("getMe", {})

    async def _call(self, method: str, fields: dict[str, str], *, is_moved: bool = False) -> Response:
        response = await self._endpoint.post_json(f"/bot{self._token}/{method}", fields, {})
        body = vendor_api.json_body(response)
        if response.status == 200 and body.get("ok") is True:
            return response
        if response.status == 200 and not body:
            raise vendor_api.unreadable(response)
        parameters = body["parameters"] if isinstance(body.get("parameters"), dict) else {}
        if isinstance(moved := parameters.get("migrate_to_chat_id"), int) and not is_moved:  # now a supergroup
            return await self._call(method, fields | {"chat_id": str(moved)}, is_moved=True)
        text = str(body.get("description") or "refused").replace(self._token, "…")
        # 403: the recipient blocked the bot or left the chat. The token is valid, since a wrong one is 401 or 404.
        error = vendor_api.error_of(response, text, is_bounce=response.status == 403)
        if isinstance(parameters.get("retry_after"), int):
            error.retry_after = float(min(parameters["retry_after"], MAX_RETRY_AFTER))
        raise error
