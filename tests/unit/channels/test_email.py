"""Composed e-mails, parsed again by the standard library, and addresses."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.channels import addresses, email
from bellcast.channels.email import Email, Headline
from bellcast.channels.types import EmailContent
from bellcast.templates import html
from bellcast.templates.types import Brand
from tests.provider_setup import outgoing


def composed_bytes(**fields: Any) -> bytes:
    to, id = fields.pop("to", "alice@example.com"), fields.pop("message_id", "m1")
    mail = Email(**{"to_name": "Alice", "subject": "New booking", "text": "Hi", "html": "<p>Hi</p>", **fields})
    return email.compose(outgoing(id, to, mail), "bells@example.com", "Shop")


def composed(**fields: Any) -> EmailMessage:
    parsed = message_from_bytes(composed_bytes(**fields), policy=default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    return parsed


def test_mail_has_both_parts_and_its_headers() -> None:
    mail = composed(
        subject="Ümläut 日本 🎉", text="Grüße", html="<p>Grüße</p>", unsubscribe_url="https://b.example/u/x"
    )
    assert mail["Subject"] == "Ümläut 日本 🎉"
    assert mail["To"] == "Alice <alice@example.com>"
    assert mail["From"] == "Shop <bells@example.com>"
    assert mail["Message-ID"] == "<m1@example.com>"
    assert mail["List-Unsubscribe"] == "<https://b.example/u/x>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.get_content_type() == "multipart/alternative"
    text, rich = mail.iter_parts()
    assert (text.get_content_type(), text.get_content_charset()) == ("text/plain", "utf-8")
    assert text.get_content().strip() == "Grüße"
    assert rich.get_content_type() == "text/html"


def test_required_mail_has_no_unsubscribe_header() -> None:
    assert composed()["List-Unsubscribe"] is None


def test_long_link_to_unsubscribe_is_not_encoded() -> None:
    """Mail programs do not decode words in List-Unsubscribe."""
    url = f"https://b.example/u/{'x' * 300}"
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in composed_bytes(unsubscribe_url=url)


def test_subject_that_looks_encoded_stays_as_written() -> None:
    assert composed(subject="=?utf-8?q?hidden?=")["Subject"] == "=?utf-8?q?hidden?="


@given(st.text(max_size=300), st.text(max_size=300))
def test_lines_are_short_and_parts_keep_their_text(text: str, rich: str) -> None:
    lines = composed_bytes(text=text, html=rich).split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line or len(line) > 998 for line in lines)
    parts = [part.get_payload(decode=True) for part in composed(text=text, html=rich).iter_parts()]
    assert parts == [b"\r\n".join(one.encode().splitlines()) for one in (text, rich)]


@given(st.text(max_size=60), st.text(max_size=60))
def test_texts_cannot_add_headers(subject: str, name: str) -> None:
    mail = composed(subject=f"a\r\nBcc: eve@example.com\n{subject}", to_name=f"b\r\nX-Evil: 1\r\n{name}")
    assert {"Bcc", "X-Evil"}.isdisjoint(mail.keys())
    assert len(mail["To"].addresses) == 1
    assert mail["To"].addresses[0].addr_spec == "alice@example.com"


@pytest.mark.parametrize(
    "address",
    [
        "alice@example.com",
        "a.b+c@sub.example.co.uk",
        "o'neil@example.com",
        "ü@exämple.com",
        "root@localhost",
    ],
)
def test_usable_address_is_recognized(address: str) -> None:
    assert addresses.is_email(address)
    if address.isascii():
        assert composed(to=address, to_name=None)["To"].addresses[0].addr_spec == address


@pytest.mark.parametrize(
    ("to", "written"), [("ü@exämple.com", "ü@exämple.com"), ("a@straße.example", "a@xn--strae-oqa.example")]
)
def test_international_address_is_written_as_utf8_only_where_it_must_be(to: str, written: str) -> None:
    mail = outgoing("m1", to, Email(subject="S", text="T", html="<p>T</p>"))
    assert f"To: {written}\r\n".encode() in email.compose(mail, "bells@example.com")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "alice",
        "@example.com",
        "alice@",
        "a b@example.com",
        "alice@example.com\r\nBcc: eve@example.com",
        "alice@exa mple.com",
        "a@b@example.com",
        "<alice@example.com>",
        "Alice <alice@example.com>",
        "alice@example..com",
        "alice@-example.com",
        "alice@ä·b.example",
        "alice@[127.0.0.1]",
        "alice@127.0.0.1",
        ".alice@example.com",
        "alice@example.com,eve@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 260 + ".com",
        "alice@example.com\x00",
    ],
)
def test_unusable_address_is_refused(address: str) -> None:
    assert not addresses.is_email(address)


@pytest.mark.parametrize(
    ("number", "is_usable"),
    [
        ("+436601234567", True),
        ("+12025550123", True),
        ("0660123", False),
        ("+0123456789", False),
        ("+43 660 12", False),
    ],
)
def test_phone_is_in_the_format_of_e164(number: str, is_usable: bool) -> None:
    assert addresses.is_phone(number) is is_usable


def test_content_is_made_from_title_body_and_link() -> None:
    headline = Headline(
        title="New <booking>", body="Saturday\n14:00", url="https://app.example/b/7", url_label="Open it"
    )
    links = {"Unsubscribe": "https://u"}
    made = email.complete(EmailContent(), headline, Brand(name="Shop"))
    assert made.subject == "New <booking>"
    assert made.text is not None
    assert made.html is not None
    assert "Saturday\n14:00" in made.text
    assert made.text.endswith("https://app.example/b/7")
    assert email.text_footer(links).endswith("Unsubscribe: https://u")
    shown = html.page(made.html, subject=made.subject, language="en", brand=Brand(name="Shop"), links=links)
    assert "New &lt;booking&gt;" in shown
    assert 'href="https://app.example/b/7"' in shown
    assert "Saturday<br>" in shown
    assert shown.index("Shop") < shown.index("Unsubscribe")


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("See (https://x.example/a), or https://y.example/b.", ["https://x.example/a", "https://y.example/b"]),
        ("“https://x.example/a” «https://y.example/b»…", ["https://x.example/a", "https://y.example/b"]),
        ("「https://x.example/a」、 https://y.example/b。 https://…", ["https://x.example/a", "https://y.example/b"]),
        (
            "https://x.example/?a=1&b=2; https://x.example/a.b!",
            ["https://x.example/?a=1&amp;b=2", "https://x.example/a.b"],
        ),
        ("https://x.example/a_(b) (https://x.example/a_(b))", ["https://x.example/a_(b)"] * 2),
        ("Why https://x.example?! See https://x.example/?q=1:", ["https://x.example", "https://x.example/?q=1"]),
        ("'https://x.example' <https://y.example>", ["https://x.example", "https://y.example"]),
        ("https://... http://)", []),
        ("https://x.example/&;", ["https://x.example/&amp;"]),
    ],
)
def test_link_ends_before_the_punctuation_of_its_sentence(text: str, urls: list[str]) -> None:
    made = html.linked(text)
    assert re.findall('href="([^"]*)"', made) == urls
    assert html.to_text(made) == text


def test_text_and_html_are_made_from_each_other() -> None:
    title = Headline(title="T")
    from_text = email.complete(EmailContent(text="a < b\n\nc"), title, Brand())
    assert "a &lt; b</p>" in (from_text.html or "")
    from_html = email.complete(
        EmailContent(html="<style>p{}</style><h1>Hi</h1><p>See <a href='https://x.example'>this</a></p><ul><li>1</ul>"),
        title,
        Brand(),
    )
    assert from_html.text == "Hi\n\nSee this (https://x.example)\n\n- 1"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<p>a</p><p>b", "a\n\nb"),
        ("1 < 2 &lt; 3 &#8364; &euro; &unknown;", "1 < 2 < 3 \u20ac \u20ac &unknown;"),
        ("&#" + "9" * 5000, "&#" + "9" * 5000),
        ("a<!-- <p>b</p> -->c<!doctype html>d<?php e ?>f", "acdf"),
        ("a<!-- b", "a"),
        ("a<p b", "a"),
        ("a<p b='>", "a"),
        ("<title>a</b></title>b<script>'<p>'</SCRIPT >c", "bc"),
        ("<style>a", ""),
        ('<img alt="a > b" src=x>', "a > b"),
        ("<IMG ALT=a/b>", "a/b"),
        ("<img alt = 'a' alt='b'>", "a"),
        ("<a href=https://x.example/?a=1&amp;b=2>this</a>", "this (https://x.example/?a=1&b=2)"),
        ("<a href='https://x.example'>https://x.example</a>", "https://x.example"),
        ("<a href='https://x.example'>one <a href='https://y.example'>two</a> three</a>",
         "one (https://x.example)two (https://y.example) three"),
        ("<a href='https://x.example'>open", "open (https://x.example)"),
        ("</a></p>a", "a"),
        ("a </ b", "a"),
    ],
)  # fmt: skip
def test_text_is_made_from_html(source: str, expected: str) -> None:
    assert html.to_text(source) == expected


def test_html_without_layout_is_unchanged() -> None:
    made = email.complete(EmailContent(html="<b>x</b>"), Headline(title="T"), Brand())
    assert made.html == "<b>x</b>"


@pytest.mark.parametrize(
    ("url", "app_url", "absolute"),
    [
        ("/b/7", "https://app.example/", "https://app.example/b/7"),
        ("b/7", "https://app.example", "https://app.example/b/7"),
        ("/b/7", None, None),
        ("https://x.example/y", None, "https://x.example/y"),
        ("mailto:a@b.c", None, "mailto:a@b.c"),
        (None, "https://app.example", None),
    ],
)
def test_relative_link_gets_the_apps_url_or_is_removed(
    url: str | None, app_url: str | None, absolute: str | None
) -> None:
    assert html.absolute_url(url, app_url) == absolute


def test_brand_cannot_break_out_of_the_layout() -> None:
    brand = Brand(
        name='"><script>x</script>', logo_url='https://x"onerror="y', color="red;background:url(x)", footer="<i>"
    )
    page = html.page("<p>x</p>", subject="</title><script>", language='en"', brand=brand, links={"<u>": 'https://"x'})
    assert "<script>" not in page
    assert 'onerror="y"' not in page
    assert "url(x)" not in page
    assert "<i>" not in page
