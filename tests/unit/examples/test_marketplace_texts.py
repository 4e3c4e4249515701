"""The texts of the service marketplace: complete in each language, with no other texts in its templates and scripts."""

import re
from html.parser import HTMLParser
from pathlib import Path

import babel
import jinja2
import pytest
from jinja2 import nodes

from bellcast.examples.service_marketplace.languages import ENGLISH, LANGUAGES

FOLDER = Path(__file__).parents[3] / "examples" / "service_marketplace"
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
SOURCES = [*FOLDER.glob("*.py"), *TEMPLATES, *FOLDER.glob("static/*.js"), FOLDER / "today" / "today.jsx"]
# Built from `today/today.jsx`.
SCRIPTS = [path for path in SOURCES if path.suffix in (".js", ".jsx") and path.name != "today.js"]
SECTIONS = "|".join({key.split(".")[0] for key in ENGLISH.texts})
# Of a text, or the first part of one that ends with a value, such as `status.`.
KEY = re.compile(rf"""["'`]((?:{SECTIONS})\.[\w.]*)""")
# Names of files and style classes.
BLOCKS_WITHOUT_TEXT = re.compile(r"{% block (script|width) %}.*?{% endblock %}")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
NAMES = re.compile("Gable")
TEXT_ATTRIBUTES = ("alt", "aria-label", "placeholder", "title")


@pytest.mark.parametrize("code", LANGUAGES)
def test_language_has_every_text_with_its_values(code):
    texts = LANGUAGES[code].texts
    assert list(texts) == list(ENGLISH.texts)
    rules = babel.Locale(code).plural_form
    for key, text in texts.items():
        english = ENGLISH.texts[key]
        if isinstance(text, dict):
            assert set(text) == rules.tags | {"other"}, key
            assert {name for form in text.values() for name in PLACEHOLDER.findall(form)} == {"count"}, key
        else:
            assert text.strip(), key
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(english)), key


def test_every_text_is_used_and_every_key_exists():
    found = {key for path in SOURCES for key in KEY.findall(path.read_text())}
    used = {key for key in found if not key.endswith((".html", ".js"))}
    prefixes = tuple(key for key in used if key.endswith("."))
    assert {key for key in used if not key.endswith(".")} - set(ENGLISH.texts) == set()
    assert [key for key in ENGLISH.texts if key not in used and not key.startswith(prefixes)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_has_no_text_of_its_own(path):
    syntax = jinja2.Environment(autoescape=True).parse(BLOCKS_WITHOUT_TEXT.sub("", path.read_text()))
    html = "".join(node.data for node in syntax.find_all(nodes.TemplateData))
    found = LiteralTexts()
    found.feed(html)
    # Texts in expressions begin with a capital letter or have several words; the paths of icons have digits.
    constants = [node.value for node in syntax.find_all(nodes.Const) if isinstance(node.value, str)]
    sentences = [
        value for value in constants if re.search(r"^[A-Z]|[a-z] [a-z]", value) and not re.search(r"\d", value)
    ]
    assert (found.texts, sentences) == ([], [])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_has_no_text_of_its_own(path):
    code = re.sub(r"/\*.*?\*/|(?<![:\w])//[^\n]*", "", path.read_text(), flags=re.S)
    assert re.findall(r"""['"`][A-Z][a-z]+ [a-z][^'"`]*['"`]|>\s*[A-Z][a-z]+ ?[\w ]*<""", code) == []


class LiteralTexts(HTMLParser):
    """Collects the texts of a page that contain letters, without its expressions."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def handle_data(self, data):
        self._add(data)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in TEXT_ATTRIBUTES:
                self._add(value or "")

    def _add(self, text):
        text = NAMES.sub("", text)
        if re.search(r"[^\W\d_]", text):
            self.texts.append(text.strip())
