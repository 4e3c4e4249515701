"""Markdown in e-mails and texts: the same subset as in the inbox."""

import sys
from types import FrameType
from typing import Any

import pytest

from bellcast.templates import html

APP = "https://app.example"


def inner(text: str, app_url: str | None = APP) -> str:
    return html.from_markdown(text, app_url).removeprefix('<p style="margin:0 0 16px">').removesuffix("</p>")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("**bold** and __bold__", "<strong>bold</strong> and <strong>bold</strong>"),
        ("*a* _b_", "<em>a</em> <em>b</em>"),
        ("**bold *and italic* too**", "<strong>bold <em>and italic</em> too</strong>"),
        ("`**code** <b>`", "<code>**code** &lt;b&gt;</code>"),
        ("[l](https://x.example/?a=1&b)", '<a href="https://x.example/?a=1&amp;b">l</a>'),
        ("[**l**](/b/7)", f'<a href="{APP}/b/7"><strong>l</strong></a>'),
        ("[https://a.example](https://x.example)", '<a href="https://x.example">https://a.example</a>'),
        ("- one\n* two\n+ three", "• one<br>\n• two<br>\n• three"),
        ("See https://x.example.", 'See <a href="https://x.example">https://x.example</a>.'),
        ("# heading\n> quote <script>", "# heading<br>\n&gt; quote &lt;script&gt;"),
        ("2 * 3 * 4, snake_case_name, ** open", "2 * 3 * 4, snake_case_name, ** open"),
    ],
)
def test_marks_become_html_and_everything_else_stays_text(source: str, expected: str) -> None:
    assert inner(source) == expected


def test_text_of_marks_leaves_the_interpreter_to_other_threads_after_each_mark() -> None:
    text, calls = "[" * 1000, 0

    # The interpreter's lock is held during a call of a built-in function, such as a search.
    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "c_call"

    sys.setprofile(count)
    try:
        converted = inner(text)
    finally:
        sys.setprofile(None)
    assert converted == text
    assert calls >= len(text)


@pytest.mark.parametrize("address", ["/b/7", "javascript:alert", "data:text/html,x"])
def test_link_that_does_not_work_outside_the_app_shows_its_label(address: str) -> None:
    assert inner(f"[<l>]({address})", None) == "&lt;l&gt;"


def test_text_has_no_marks_and_keeps_urls() -> None:
    body = "**bold** [l](https://x.example)\n- one\n- `two`\n\nEnd"
    assert html.to_text(html.from_markdown(body, None)) == "bold l (https://x.example)\n• one\n• two\n\nEnd"


def test_nested_marks_end() -> None:
    assert inner("**__" * 240 + "x" + "__**" * 240).count("<strong>") > 200
