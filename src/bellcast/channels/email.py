"""E-mail: from a notification's content to a message in the format of RFC 5322."""

from binascii import b2a_qp
from email.header import Header
from email.utils import format_datetime, quote
from html import escape

from msgspec import Struct

from bellcast.channels.types import EmailContent
from bellcast.providers.types import OutgoingMessage
from bellcast.templates import html
from bellcast.templates.types import Brand

# RFC 5322 §2.1.1 limits a line to 998 characters. All mail programs truncate longer subjects than this.
MAX_SUBJECT = 250
# Characters of a URL in a line: that of a digest names each of its types.
URL_LINE = 900


class Email(EmailContent, frozen=True, kw_only=True):
    """The complete content of an e-mail, as it is stored and as providers and digests take it. `unsubscribe_url` accepts the
    one-click request of RFC 8058; required types have none."""

    to_name: str | None = None
    unsubscribe_url: str | None = None


class Headline(Struct, frozen=True, kw_only=True):
    """The parts of a notification from which an e-mail without its own content is generated. `html` is the HTML of a body
    that is not plain text."""

    title: str
    body: str | None = None
    html: str | None = None
    url: str | None = None
    url_label: str | None = None


def complete(content: EmailContent, headline: Headline, brand: Brand) -> EmailContent:
    """Fill in absent fields. The subject defaults to the title. Text and HTML are generated from each other, or from
    title, body and link."""
    subject = one_line(content.subject or headline.title)[:MAX_SUBJECT]
    text, inner = content.text, content.html
    if text is None and inner is None:
        text = "\n\n".join(part for part in (headline.title, headline.body, headline.url) if part)
        title = escape(headline.title)
        parts = [f'<h1 style="margin:0 0 16px;font-size:22px;line-height:1.3">{title}</h1>']
        if headline.body:
            parts.append(headline.html or html.from_text(headline.body))
        if headline.url:
            parts.append(html.button(headline.url, headline.url_label or "Open", brand))
        inner = "\n".join(parts)
    elif inner is None:
        inner = html.from_text(text or "")
    elif text is None:
        text = html.to_text(inner)
    return EmailContent(subject=subject, text=text or "", html=inner, layout=content.layout)


FOOTER = "\n-- \n"


def text_footer(links: dict[str, str]) -> str:
    """Return the links as a signature block, which mail programs separate from the text."""
    footer = "\n".join(f"{label}: {url}" for label, url in links.items())
    return f"\n{FOOTER}{footer}" if footer else ""


def one_line(text: str) -> str:
    """Return a header's value without line breaks, which would begin another header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# Header with the message's id for reports: Amazon SES and others replace the Message-ID.
MESSAGE = "X-Bellcast-Message"


def compose(message: OutgoingMessage, sender: str, sender_name: str | None = None) -> bytes:
    """Encode an e-mail for SMTP: multipart/alternative in UTF-8, the same Message-ID in every attempt.

    The standard library's EmailMessage parses each header and folds it again, which takes 2 ms, and it encodes long URLs as
    words, which mail programs do not decode in List-Unsubscribe."""
    # Quoted-printable text never contains "=_".
    boundary = f"=_{message.id}"
    mail: Email = message.content
    headers = {
        "From": _mailbox(wire_address(sender), sender_name),
        "To": _mailbox(wire_address(message.to), mail.to_name),
        "Subject": _words(one_line(mail.subject or "")),
        "Date": format_datetime(message.at),
        "Message-ID": f"<{message.id}@{_ascii_domain(sender)}>",
        MESSAGE: message.id,
        "Auto-Submitted": "auto-generated",  # RFC 3834: suppresses vacation replies
    }
    if mail.unsubscribe_url is not None:
        # Mail programs ignore white space in the URL (RFC 2369 §2).
        url = one_line(mail.unsubscribe_url)
        lines = "\r\n ".join(url[start : start + URL_LINE] for start in range(0, len(url), URL_LINE))
        headers["List-Unsubscribe"] = f"<{lines}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    headers |= {"MIME-Version": "1.0", "Content-Type": f'multipart/alternative; boundary="{boundary}"'}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    parts = [_part("plain", mail.text or ""), _part("html", mail.html or "")]
    separator = f"--{boundary}\r\n".encode()
    return b"".join(
        [head.encode(), *(b"\r\n" + separator + part for part in parts), f"\r\n--{boundary}--\r\n".encode()]
    )


def _part(subtype: str, text: str) -> bytes:
    """Return a part of a message, without the line break that belongs to the boundary after it."""
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    # Normalize line breaks, so that b2a_qp breaks long lines with the same kind.
    encoded = b2a_qp(b"\n".join(text.encode().splitlines()), istext=True)
    return head.encode() + encoded.replace(b"\n", b"\r\n")


def _mailbox(address: str, name: str | None) -> str:
    """Return an address with its name (RFC 5322 §3.4). A non-ASCII address is sent unencoded (RFC 6532)."""
    words = one_line(name or "")[:MAX_SUBJECT]
    if not words:
        return address
    phrase = _words(words) if _needs_encoding(words) else f'"{quote(words)}"'
    return f"{phrase} <{address}>"


def _words(text: str) -> str:
    """Encode a header's text, with encoded words (RFC 2047) if necessary."""
    return Header(text, "utf-8").encode(linesep="\r\n") if _needs_encoding(text) else text


def _needs_encoding(text: str) -> bool:
    return not text.isascii() or "=?" in text  # the latter begins an encoded word


def wire_address(address: str) -> str:
    """Return the address in the form that every mail server accepts, with its domain in ASCII (RFC 5891). An address
    with a non-ASCII local part needs SMTPUTF8 (RFC 6531) and is not changed."""
    local = address.rpartition("@")[0]
    return f"{local}@{_ascii_domain(address)}" if local.isascii() else address


def _ascii_domain(address: str) -> str:
    domain = address.rpartition("@")[2]
    if not domain.isascii():
        import idna  # only for international names: the import takes 20 ms

        domain = idna.encode(domain, uts46=True).decode()
    return domain
