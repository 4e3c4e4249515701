"""Reports of mail servers on e-mails: delivery status notifications (RFC 3464) and complaints (RFC 5965). Pure."""

import re
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

from msgspec import Struct

from bellcast.channels.types import State
from bellcast.kernel import ids

# SMTP codes that mean a bad address, as in replies to RCPT.
HARD_CODES = frozenset({"550", "551", "553"})
# Bad destination address (5.1.x); mailbox disabled (5.2.1): RFC 3463 §3.2, §3.3.
HARD_STATUS = re.compile(r"5\.1\.\d{1,3}|5\.2\.1")
DIAGNOSTIC_CODE = re.compile(r"smtp;\s*(\d{3})", re.IGNORECASE)
# The parser's time grows quadratically with a header's parameters (RFC 2231), and each nested part is a level of
# recursion.
CONTENT_TYPE = re.compile(rb"(?:^|[\r\n])content-type:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*", re.IGNORECASE)
MAX_CONTENT_TYPE = 1000
# A report has three parts, and returns one e-mail with its parts.
MAX_PARTS = 32
HEADERS = BytesHeaderParser(policy=compat32)


class MailReport(Struct, frozen=True):
    """The reported outcome of the message with this id. `state` is None for a complaint, which does not change the
    state."""

    message: str
    state: State | None
    code: str | None = None


def parse(body: bytes) -> MailReport | None:
    """Parse a report; None for one about a delay, a relay, or another server's e-mail. Raises ValueError if the mail is
    no report. A maliciously crafted mail can take seconds."""
    content_types = [match.end() - match.start() for match in CONTENT_TYPE.finditer(body)]
    if len(content_types) > MAX_PARTS or max(content_types, default=0) > MAX_CONTENT_TYPE:
        raise ValueError(f"has more than {MAX_PARTS} parts, or a Content-Type of more than {MAX_CONTENT_TYPE} bytes")
    try:
        return _report(message_from_bytes(body, policy=compat32))
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001  malformed headers raise also IndexError, LookupError, TypeError and RecursionError
        raise ValueError(f"is malformed ({type(error).__name__})") from None


def _report(mail: Message) -> MailReport | None:
    parts = list(mail.walk())
    kinds = {part.get_content_type() for part in parts}
    if "message/feedback-report" in kinds:
        id = _message_id(parts)
        return None if id is None else MailReport(id, None)
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    if status is None:
        raise ValueError("is neither a delivery status notification nor a complaint")
    id = _message_id(parts)
    blocks = status.get_payload()
    result = _state([block for block in blocks if isinstance(block, Message)] if isinstance(blocks, list) else [])
    return None if id is None or result is None else MailReport(id, *result)


def _state(blocks: list[Message]) -> tuple[State, str | None] | None:
    """Return the state according to the first recipient's fields. Bellcast sends each e-mail to one recipient."""
    fields = next((block for block in blocks if block.get("Action")), None)
    action = "" if fields is None else str(fields["Action"]).strip().lower()
    status = "" if fields is None else str(fields.get("Status", "")).split("(")[0].strip()
    if action == "delivered":
        return "delivered", status or None
    if fields is None or action != "failed":
        return None
    diagnostic = DIAGNOSTIC_CODE.search(str(fields.get("Diagnostic-Code", "")))
    is_hard = HARD_STATUS.fullmatch(status) or (diagnostic is not None and diagnostic[1] in HARD_CODES)
    return ("bounced" if is_hard else "failed"), status or None


def _message_id(parts: list[Message]) -> str | None:
    """Return the id in the Message-ID of the returned e-mail or its headers."""
    for part in parts[1:]:
        header = part.get("Message-ID")
        if part.get_content_type() == "text/rfc822-headers":
            content = part.get_payload(decode=True)
            header = HEADERS.parsebytes(content).get("Message-ID") if isinstance(content, bytes) else None
        local = str(header or "").strip().strip("<>").partition("@")[0]
        if ids.is_id(local):
            return local
    return None
