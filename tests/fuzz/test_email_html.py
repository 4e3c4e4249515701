"""Fuzzing of the HTML of e-mails."""

from html import escape

from hypothesis import strategies as st

from bellcast.templates import html
from tests.fuzz.runner import fuzz

PIECES = st.sampled_from(
    [
        "<", ">", "/", "</", "<!--", "-->", "<!", "<?", "<a ", "<a href=", "<a href='https://x.example'>", "</a>", "<p>", "</p>", "<br/>",
        "<script>", "</script>", "<style", "<title>", "</TITLE >", "<head>", "<template>", "<li>", "<td>", "<img alt=", '"', "'", "=", " ", "\n",
        "&amp;", "&#", "&#x", "&#0;", "&#1114112;", "&#xd800;", "&notit;", "9", "a", "\0", "\x0c", "<\u0130", "<![CDATA[", "]]>",
    ]
)  # fmt: skip
DOCUMENTS = st.lists(PIECES | st.text(max_size=4), max_size=20).map("".join)
SEEDS = [
    "<a " * 500,
    "<!--" * 500,
    "</a>" * 500,
    "<a href='" * 500,
    "&#" + "9" * 5_000,
    "<script>" * 500,
    "<a " + "b=" * 500,
]


def check(document: str) -> None:
    """Every document has a text version, and escaped text is preserved."""
    text = html.to_text(document)
    assert text == text.strip()
    assert "\n\n\n" not in text
    words = document.replace("\0", "").split()
    assert html.to_text(escape(" ".join(words))) == " ".join(words)


def test_every_html_has_a_text() -> None:
    fuzz("e-mail HTML", DOCUMENTS, check, SEEDS)
