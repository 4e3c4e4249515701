"""E-mails of other tools become HTML of templates, without what runs or loads. `python -m` this module writes the golden files."""

import time
from pathlib import Path

import pytest

from bellcast.kernel.errors import Invalid
from bellcast.templates.email_imports import MAX_DEPTH, ImportFormat, part_of
from bellcast.templates.html import to_text
from bellcast.templates.html_tokens import StartTag, tokens

GOLDEN = Path(__file__).parent / "golden_imports"
SOURCES: dict[str, ImportFormat] = {"booking.mjml": "mjml", "receipt.html": "html"}


def imported(name: str) -> dict[str, str]:
    """Return the golden texts of a source by their suffix."""
    part, findings = part_of(SOURCES[name], (GOLDEN / name).read_text(encoding="utf-8"))
    assert part.html is not None
    assert part.layout is None
    lines = [f"{one.severity} {one.code} {one.line}: {one.message}" for one in findings]
    return {
        "golden.html": part.html + "\n",
        "golden.txt": f"{part.subject}\n\n{to_text(part.html)}\n",
        "findings.txt": "\n".join(lines) + "\n",
    }


@pytest.mark.parametrize("name", SOURCES)
def test_import_equals_its_golden_html_text_and_findings(name: str) -> None:
    for suffix, text in imported(name).items():
        assert text == (GOLDEN / f"{Path(name).stem}.{suffix}").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "<script>hit()</script>",
        "<SCRIPT/x>hit()</SCRIPT >",
        "<scr<script>ipt>hit()</script>",
        "<<script></script>script>hit()</script>",
        "<{{ 'script' }}>hit()</{{ 'script' }}>",
        "<scr{# #}ipt>hit()</script>",
        "<{% if true %}script{% endif %}>hit()",
        "<img src=x onerror=hit()>",
        "<img/src='x'/onerror='hit()'>",
        "<img src=x {% if true %}on{% endif %}error=hit()>",
        "<img src=x {{ 'onerror=hit()' }}>",
        "<img src=x {% if true %}onerror=hit(){% endif %}>",
        "<a href=' java\nscript:hit()'>x</a>",
        "<a href='&#106;avascript:hit()'>x</a>",
        "<a href='data:text/html,<script>hit()</script>'>x</a>",
        "<svg><style><img src=x onerror=hit()></style></svg>",
        "<title><img src=x onerror=hit()></title>",
        "<svg><title><script>hit()</script></title></svg>",
        "<!--><script>hit()</script>-->",
        "<!-- --!><script>hit()</script>-->",
        "<!--[if mso]><script>hit()</script><![endif]-->",
        "<!--[if mso]>--<script></script>><img src=x onerror=hit()><![endif]-->",
        "<textarea><p title='</textarea><script>hit()</script>'></p></textarea>",
        "<iframe srcdoc='<script>hit()</script>'></iframe>",
        "<math><mtext><p title='</mtext><script>hit()</script>'>",
        "<p x='\"><script>hit()</script>'>x",
        "<script>hit()",
        "<object data='data:text/html,x'><embed src=x></object>",
    ],
)
def test_import_has_no_markup_that_runs(source: str) -> None:
    part, _ = part_of("html", f"<p>x</p>{source}<p>y</p>")
    html = part.html or ""
    # As a browser that reads what is in comments and raw texts too.
    for text in (
        html,
        html.replace("<!--", "").replace("<style>", "").replace("<title>", "").replace("<textarea>", ""),
    ):
        for token in tokens(text):
            if isinstance(token, StartTag):
                assert token.name not in ("script", "iframe", "object", "embed", "link", "base", "form"), html
                assert not [one for one in token.attributes if one.startswith("on") or one == "srcdoc"], html
                assert not token.attributes.get("href", "").startswith(("java", "data:")), html


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("a < b &lt; &amp; c&nbsp;<br/>", "a &lt; b &lt; &amp; c&nbsp;<br />"),
        ("<p class=a title='x\"y'>{{ 1 < 2 }}</p>", '<p class="a" title="x&quot;y">{{ 1 < 2 }}</p>'),
        ("<p {% if data.x %}class=y {% endif %}>x</p>", '<p {% if data.x %} class="y" {% endif %}>x</p>'),
        ("{{ data.x | default(&quot;a&quot;) }}", '{{ data.x | default("a") }}'),
        ("<!--[if !mso]><!--><p>x</p><!--<![endif]-->", "<!--[if !mso]><!--><p>x</p><!--<![endif]-->"),
        ("<style>@media x{#a{b:c}}</style>x", "<style>@media x{ #a{b:c}}</style>x"),
    ],
)
def test_import_keeps_what_is_harmless(source: str, html: str) -> None:
    assert part_of("html", source)[0].html == html


@pytest.mark.parametrize(
    "source", ["{% raw %}{{ <script>hit()</script> }}{% endraw %}", "{{ data.x &#125;&#125;<script>hit()</script> }}"]
)
def test_script_in_a_tag_of_a_template_stays_one_that_no_template_may_have(source: str) -> None:
    _, findings = part_of("html", source)
    assert findings[0].code == "template_error"


def test_import_names_the_line_of_a_wrong_template() -> None:
    _, findings = part_of("html", "<p>\n{{#if x}}a{{/if}}</p>")
    assert [(one.severity, one.code, one.line) for one in findings] == [("error", "template_error", 2)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("<p>x</p>", "must be MJML"),
        ("<mjml><mj-body></mjml>", "</mjml> closes no element"),
        ("<mjml><mj-body>", "<mj-body> is not closed"),
        ("<mjml><mj-body>" + "<mj-wrapper>" * 5000, f"at most {MAX_DEPTH} elements"),
        ("<mjml><mj-body>" + "<mj-wrapper></b>" * 5000, "</b> closes no element"),
    ],
)
def test_source_that_is_not_mjml_is_refused(source: str, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        part_of("mjml", source)
    assert message in refusal.value.errors[0].message


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("<mj-attributes><mj-all color='{}'/></mj-attributes>", "<mj-text/>" * 10_000),
        ("<mj-attributes><mj-all color='{{{{ \"{}\" }}}}'/></mj-attributes>", "<mj-text/>" * 10_000),
        ("<mj-attributes><mj-class name='x' color='{}'/></mj-attributes>", "<mj-text mj-class='x'/>" * 4_000),
        ("<!--{}-->", "<mj-navbar base-url='" + "x" * 100_000 + "'>" + "<mj-navbar-link/>" * 4_000 + "</mj-navbar>"),
        ("", "<mj-carousel>" + "<mj-carousel-image/>" * 4_000 + "</mj-carousel>"),
        ("", "<mj-text></mj-text>" * 8_000),
    ],
)
def test_mjml_of_much_html_is_refused_before_it_takes_the_memory(head: str, body: str) -> None:
    source = f"<mjml><mj-head>{head.format('x' * 100_000)}</mj-head><mj-body><mj-section><mj-column>{body}</mj-column>"
    with pytest.raises(Invalid) as refusal:
        part_of("mjml", f"{source}</mj-section></mj-body></mjml>")
    assert "HTML" in str(refusal.value.errors) or "images" in str(refusal.value.errors)


HOSTILE = ["<script>", "<!--", "<", "{{", "{%", "<p a=", "<!--[if mso]>", "<style>", "<p onx=1>", "</"]


@pytest.mark.parametrize("piece", [*HOSTILE, "<!--[if x]><title><![endif]-->"])
def test_import_of_hostile_markup_takes_linear_time(piece: str) -> None:
    begun = time.process_time()
    part_of("html", "x" + piece * (200_000 // len(piece)))
    assert time.process_time() - begun < 3


def test_import_of_text_like_its_placeholders_takes_linear_time() -> None:
    begun = time.process_time()
    part_of("html", "".join(f"mark{number}x" for number in reversed(range(20_000))))
    assert time.process_time() - begun < 0.5


if __name__ == "__main__":
    for name in SOURCES:
        for suffix, text in imported(name).items():
            (GOLDEN / f"{Path(name).stem}.{suffix}").write_text(text, encoding="utf-8")
