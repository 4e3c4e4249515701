"""The rules of the house that no linter knows: what there is has its place in the documentation, words keep their meaning."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from scripts import reference

import bellcast
from bellcast import cli, errors
from bellcast.api.app import HANDLERS
from bellcast.live import inbox_payloads
from bellcast.live.connection import close_reasons
from bellcast.live.native import protocol
from bellcast.settings import table

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md")), *(ROOT / "client").glob("*.md")]
PAGES += [*(ROOT / "benchmarks").glob("*.md"), *(ROOT / "examples").glob("*/*.md")]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_setting_is_documented() -> None:
    page = read("reference/settings.md")
    assert [setting.variable for setting in table.TABLE if f"`{setting.variable}`" not in page] == []


def test_every_command_is_documented() -> None:
    page = read("reference/cli.md")
    root = typer.main.get_command(cli.app)
    missing = [path for path in commands("bellcast", root) if f"## {path}\n" not in page]
    assert missing == []


def commands(path: str, command: object) -> list[str]:
    """Every command by its whole name."""
    inner = getattr(command, "commands", {})
    return [name for key, one in inner.items() for name in (f"{path} {key}", *commands(f"{path} {key}", one))]


def test_every_path_is_documented() -> None:
    page = read("reference/rest.md")
    promised = [
        (method, re.sub(r":\w+}", "}", path)) for one in HANDLERS for path in one.paths for method in one.http_methods
    ]
    assert len(promised) > 40
    assert [f"{method} {path}" for method, path in promised if f"### {method} {path}\n" not in page] == []


def test_every_error_is_documented() -> None:
    page = read("reference/errors.md")
    assert [error.code for error in errors.every() if f"| `{error.code}` | {error.status} |" not in page] == []


def test_every_end_of_a_connection_is_documented() -> None:
    page = read("reference/errors.md")
    ends = [value for value in vars(close_reasons).values() if isinstance(value, close_reasons.CloseReason)]
    assert len(ends) > 10
    assert [end.reason for end in ends if f"| {end.code} | `{end.reason}` |" not in page] == []


def test_every_frame_is_documented() -> None:
    page = read("reference/frames.md")
    sources = [ast.parse(Path(room.__file__).read_text(encoding="utf-8")) for room in (protocol, inbox_payloads)]
    nodes = [node for source in sources for node in ast.walk(source) if isinstance(node, ast.Call)]
    calls = [node for node in nodes if getattr(node.func, "id", "") in ("Frame", "Payload")]
    told = {name.value for call in calls for name in call.args[:1] if isinstance(name, ast.Constant)}
    assert len(told) > 10
    assert [name for name in sorted(told) if f'"type": "{name}"' not in page] == []


def test_every_command_of_a_live_client_is_documented() -> None:
    page = read("reference/frames.md").partition("## What clients say")[2]
    said = [one.__struct_config__.tag for one in protocol.AnyCommand.__args__]
    assert len(said) > 10
    assert [name for name in said if f"### {name}\n" not in page or f'"type": "{name}"' not in page] == []


@pytest.mark.parametrize("page", ["settings", "cli", "errors", "rest", "frames", "python"])
def test_the_reference_is_what_the_code_says(page: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check", page]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_figures_are_copied_from_a_committed_run() -> None:
    figures, headlines = reference.module("figures"), reference.module("headlines")
    shown = figures.shown(figures.PAGE)
    assert shown
    named = re.findall(r"\(results/([\w.-]+\.json)\)", shown)
    runs = [run for run in figures.runs() if run.name in named]
    assert shown == figures.table(runs), "run: make docs"
    assert figures.shown(headlines.PAGE) == headlines.headlines(runs), "run: make docs"


def test_reference_pages_are_all_made() -> None:
    made = {path for path in reference.PAGES.values() if path.parent == reference.FOLDER}
    assert set(reference.FOLDER.glob("*.md")) == made


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lost = [link for found in LINK.finditer(text) if not leads(page, link := found[1] or found[2])]
    assert lost == []


def leads(page: Path, link: str) -> bool:
    """Whether a link of ours has a file, and the file that heading; other people's are not asked."""
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The headings of a page as links know them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_index() -> None:
    reached, queue = set(), [DOCS / "index.md"]
    while queue:
        page = queue.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = LINK.finditer(page.read_text(encoding="utf-8"))
        queue += [page.parent / found[1].partition("#")[0] for found in links if found[1] and "://" not in found[1]]
    assert [named(page) for page in DOCS.rglob("*.md") if page.resolve() not in reached] == []


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == bellcast.__version__


def modules() -> set[str]:
    """The names of all modules and folders, of the server, the browser client, the examples and the tests."""
    roots = [ROOT / "src" / "bellcast", ROOT / "client" / "src", ROOT / "client" / "test", ROOT / "examples"]
    found = (file for root in [*roots, ROOT / "tests", ROOT / "scripts"] for file in root.rglob("*.[pj][ys]"))
    files = [file for file in found if "node_modules" not in file.parts]
    assert len(files) > 100
    return {part.partition(".")[0] for file in files for part in file.relative_to(ROOT).parts}


def words_after(beginning: str) -> list[str]:
    """Return the words that a sentence of the glossary lists."""
    (sentence,) = re.findall(rf"^{beginning}[^:]*:(.*?)\.$", read("glossary.md"), re.MULTILINE | re.DOTALL)
    return [word.strip() for word in re.sub(r"\(.*?\)", "", sentence, flags=re.DOTALL).split(",")]


def test_no_module_is_a_drawer() -> None:
    drawers = words_after("Names that no module may have")
    assert len(drawers) == 9
    assert sorted(modules() & set(drawers)) == []


def test_modules_keep_the_words_of_the_glossary() -> None:
    others = {word for word in words_after("Words to avoid") if word.isalpha()}
    assert len(others) > 5
    assert sorted(modules() & (others | {f"{word}s" for word in others})) == []


def test_a_word_has_one_entry_in_the_glossary() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", read("glossary.md"), re.MULTILINE)
    assert len(words) > 30
    assert len(set(words)) == len(words)
