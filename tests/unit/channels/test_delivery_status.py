"""Reports of mail servers that are designed to break the parser."""

import pytest

from bellcast.channels import receipts
from bellcast.channels.email import Email, compose
from bellcast.channels.receipts import MAX_CONTENT_TYPE, MAX_PARTS
from bellcast.kernel.ids import Ids
from tests.provider_setup import outgoing

ID = Ids().new(1_781_085_600_000)
RFC822 = "Content-Type: message/rfc822\r\n\r\n"


def report(message_id: str, content_type: str = "message/rfc822", fields: str = "Status: 5.1.1") -> bytes:
    return (
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; x\r\n\r\nAction: failed\r\n{fields}\r\n\r\n"
        f"--b\r\nContent-Type: {content_type}\r\n\r\nMessage-ID: {message_id}\r\n\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize(
    "mail",
    [
        report(f"<{ID}@x>"),
        report(f"\r\n <{ID}@x>"),
        report(f"<{ID}@x>", "text/rfc822-headers"),
        report(f"<{ID}@x>", fields="Status: 5.1.1 (no such user)"),
        report(f"<{ID}@x>", fields="Status: 5.0.0\r\nDiagnostic-Code: smtp;\r\n 550 no such user"),
    ],
)
def test_report_of_a_missing_address_is_a_bounce(mail: bytes) -> None:
    found = receipts.parse(mail)
    assert found is not None
    assert found[:2] == (ID, "bounced")


@pytest.mark.parametrize("content_type", ["message/rfc822", "text/rfc822-headers"])
def test_report_finds_an_email_of_which_the_server_replaced_the_message_id(content_type: str) -> None:
    mail = outgoing(ID, "a@example.com", Email(subject="Hi", text="Hi", html="Hi"))
    head, _, _ = compose(mail, "bells@example.com").decode().partition("\r\n\r\n")
    lines = [one for one in head.split("\r\n") if not one.startswith(("Message-ID", "Content-Type"))]
    assert receipts.parse(report("\r\n".join(["<0100@eu-west-1.amazonses.com>", *lines]), content_type)) == (
        ID,
        "bounced",
        "5.1.1",
    )


@pytest.mark.parametrize(
    "message_id", ["<@", "<a@[", "=?x?q?a?=", "(" * 2000, '"', "<" + "a." * 9000 + "@x>", "\u00e9", ""]
)
def test_malformed_message_id_matches_no_message(message_id: str) -> None:
    assert receipts.parse(report(message_id)) is None


def test_status_without_a_list_of_fields_matches_no_message() -> None:
    mail = report(f"<{ID}@x>").replace(
        b"delivery-status\r\n", b"delivery-status\r\nContent-Transfer-Encoding: base64\r\n"
    )
    assert receipts.parse(mail) in (None, (ID, "bounced", "5.1.1"))


@pytest.mark.parametrize(
    "mail",
    [
        (RFC822 * (MAX_PARTS + 1)).encode(),
        report("<a@b>", "text/plain; " + "a*0=b;" * 8_000),  # the parser needs 7 s
        report("<a@b>", "text/plain;\r\n " + "a*0=b;\r\n\t" * MAX_CONTENT_TYPE),
    ],
)
def test_mail_that_takes_long_is_refused(mail: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(receipts, "message_from_bytes")  # not parsed
    with pytest.raises(ValueError, match="has more than"):
        receipts.parse(mail)


@pytest.mark.parametrize("error", [IndexError, RecursionError, LookupError, TypeError])
def test_defect_of_the_parser_is_a_refusal(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(receipts, "message_from_bytes", fail)
    with pytest.raises(ValueError, match=f"is malformed \\({error.__name__}\\)"):
        receipts.parse(b"")
