"""Project rules that no linter checks: everything public is documented, names are unique and from the field's vocabulary."""

import ast
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import grimp
import pytest
import typer
from scripts import reference

import bellcast
from bellcast import cli
from bellcast.kernel import errors
from bellcast.kernel.db import statements
from bellcast.live.connection import close_reasons, dialect
from bellcast.live.native import protocol
from bellcast.server.api_app import HANDLERS
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


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Imports at first use and for types count, too: the layers of `make check` do not see circles within a room."""
    graph = grimp.build_graph("bellcast", cache_dir=None)
    # The package of an example exports its app, whose modules import each other through it.
    modules = {module for module in graph.modules if not module.startswith("bellcast.examples")}
    imports = {module: graph.find_modules_directly_imported_by(module) & modules for module in modules}
    # What is left imports a circle or is part of one.
    assert without_leaves(imports) == {}


CONSOLE_SCRIPTS = ROOT / "src" / "bellcast" / "console" / "pages" / "console" / "files"
SCRIPT_IMPORT = re.compile(r"""^import [^;]*'\./([\w-]+\.js)'|import\('\./([\w-]+\.js)'\)""", re.MULTILINE)


def test_scripts_of_the_console_do_not_import_each_other_in_a_circle() -> None:
    """Imports at first use count, too."""
    imports = {
        script.name: {
            name for pair in SCRIPT_IMPORT.findall(script.read_text(encoding="utf-8")) for name in pair if name
        }
        for script in CONSOLE_SCRIPTS.glob("*.js")
    }
    assert without_leaves(imports) == {}


def without_leaves(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Remove what imports nothing that is left, until all that is left imports something."""
    while leaves := {module for module, imported in imports.items() if not imported}:
        imports = {module: imported - leaves for module, imported in imports.items() if module not in leaves}
    return imports


def test_every_setting_is_documented() -> None:
    page = read("reference/settings.md")
    assert [setting.variable for setting in table.TABLE if f"`{setting.variable}`" not in page] == []


def test_every_command_is_documented() -> None:
    page = read("reference/cli.md")
    root = typer.main.get_command(cli.app)
    root.list_commands(typer.Context(root))
    missing = [path for path in commands("bellcast", root) if f"## {path}\n" not in page]
    assert missing == []


def commands(path: str, command: object) -> list[str]:
    """Return every command by its full name."""
    inner = getattr(command, "commands", {})
    return [name for key, one in inner.items() for name in (f"{path} {key}", *commands(f"{path} {key}", one))]


def test_every_path_is_documented() -> None:
    page = read("reference/rest.md")
    promised = [(one.method, one.template) for one in HANDLERS]
    assert len(promised) > 40
    assert [f"{method} {path}" for method, path in promised if f"### {method} {path}\n" not in page] == []


def test_every_error_is_documented() -> None:
    page = read("reference/errors.md")
    assert [error.code for error in errors.every() if f"| `{error.code}` | {error.status} |" not in page] == []


def test_every_close_reason_is_documented() -> None:
    page = read("reference/errors.md")
    ends = [value for value in vars(close_reasons).values() if isinstance(value, close_reasons.CloseReason)]
    assert len(ends) > 10
    assert [end.reason for end in ends if f"| {end.code} | `{end.reason}` |" not in page] == []


def test_every_frame_is_documented() -> None:
    page = read("reference/frames.md")
    sources = [ast.parse(Path(room.__file__).read_text(encoding="utf-8")) for room in (protocol, dialect)]
    nodes = [node for source in sources for node in ast.walk(source) if isinstance(node, ast.Call)]
    calls = [node for node in nodes if getattr(node.func, "id", "") in ("Frame", "Payload")]
    names = {name.value for call in calls for name in call.args[:1] if isinstance(name, ast.Constant)}
    assert len(names) > 10
    assert [name for name in sorted(names) if f'"type": "{name}"' not in page] == []


def test_every_command_of_a_live_client_is_documented() -> None:
    page = read("reference/frames.md").partition("## Client frames")[2]
    tags = [one.__struct_config__.tag for one in protocol.COMMANDS]
    assert len(tags) > 10
    assert [name for name in tags if f"### {name}\n" not in page or f'"type": "{name}"' not in page] == []


# Pages with examples recorded from a running server. They are generated in the background while the other tests run.
RECORDED = ("rest", "frames")


@pytest.fixture(scope="module", autouse=True)
def recorded() -> Iterator[dict[str, subprocess.Popen[str]]]:
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    checks = {
        page: subprocess.Popen([*command, page], stderr=subprocess.PIPE, text=True, start_new_session=True)
        for page in RECORDED
    }
    yield checks
    for check in checks.values():
        if check.poll() is None:  # its server holds the pipe too
            os.killpg(check.pid, signal.SIGKILL)
        check.communicate()


@pytest.mark.parametrize("page", ["settings", "cli", "errors", "problems", "symptoms", "python"])
def test_reference_page_is_generated_from_the_code(page: str) -> None:
    assert reference.PAGES[page].read_text(encoding="utf-8") == reference.generate(page), "run: make docs"


def test_figures_are_copied_from_a_committed_run() -> None:
    figures, headlines = reference.module("figures"), reference.module("headlines")
    shown = figures.shown(figures.PAGE)
    assert shown
    named = re.findall(r"\(results/([\w.-]+\.json)\)", shown)
    runs = [run for run in figures.runs() if run.name in named]
    assert shown == figures.table(runs), "run: make docs"
    assert figures.shown(headlines.PAGE) == headlines.headlines(runs), "run: make docs"
    comparison = reference.module("comparison")
    assert figures.shown(comparison.PAGE) == comparison.comparison(runs), "run: make docs"


def test_scale_tables_are_calculated_from_committed_runs() -> None:
    figures, scale = reference.module("figures"), reference.module("scale")
    shown = figures.shown(scale.PAGE)
    named = re.findall(r"/([\w.-]+\.json)\)", shown)
    assert named
    runs = [run for run in figures.runs() if run.name in named]
    assert shown == scale.tables(runs), "run: python scripts/reference.py scale"


def test_all_reference_pages_are_generated() -> None:
    made = {path for path in reference.PAGES.values() if path.parent == reference.FOLDER}
    assert set(reference.FOLDER.glob("*.md")) == made


def test_links_resolve() -> None:
    assert PAGES
    assert {named(page): lost for page in PAGES if (lost := lost_links(page))} == {}


def lost_links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for found in LINK.finditer(text) if not leads(page, link := found[1] or found[2])]


def leads(page: Path, link: str) -> bool:
    """Return True if the file of a relative link exists and has that heading. External links are not checked."""
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_options_of_examples_are_in_comments_before_them() -> None:
    # tests/docs/blocks.py reads no options after a fence, so such a block would not run.
    fences = {named(page): re.findall(r"^```\w+ .*", page.read_text(encoding="utf-8"), re.MULTILINE) for page in PAGES}
    assert {page: found for page, found in fences.items() if found} == {}


def test_every_state_of_the_bell_has_a_picture() -> None:
    states = re.findall(r'@state\(\s*"([^"]+)"', (ROOT / "scripts" / "picture_states.py").read_text(encoding="utf-8"))
    shown = re.findall(r"pictures/states/([\w-]+)\.webp", read("howto/bell.md"))
    assert shown == states, "run: make pictures"
    assert {path.stem for path in (ROOT / "docs" / "pictures" / "states").iterdir()} == set(states)


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


def nav_entries(nav: list[object]) -> list[str]:
    found = []
    for entry in nav:
        for one in entry.values() if isinstance(entry, dict) else [entry]:
            found += nav_entries(one) if isinstance(one, list) else [str(one)]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    listed = nav_entries(tomllib.loads(read("zensical.toml"))["project"]["nav"])
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert {page for page in listed if not page.startswith("project/")} == pages


def test_navigation_has_the_groups_of_the_index() -> None:
    nav = tomllib.loads(read("zensical.toml"))["project"]["nav"]
    (groups,) = [entry["How-to"] for entry in nav if isinstance(entry, dict) and "How-to" in entry]
    listed = read("index.md").partition("## How to\n")[2].partition("\n## ")[0]
    assert re.findall(r"^(\w.*):$|^- .*\]\((.+)\)$", listed, re.MULTILINE) == [
        row
        for group in groups
        for name, pages in group.items()
        for row in [(name, ""), *(("", page) for page in pages)]
    ]


def test_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == bellcast.__version__


def sources() -> dict[str, str]:
    """The texts of all modules of the package, without the example apps, by path."""
    package = ROOT / "src" / "bellcast"
    files = [file for file in package.rglob("*.py") if "examples" not in file.parts]
    return {str(file.relative_to(package)): file.read_text(encoding="utf-8") for file in files}


@cache
def trees() -> dict[str, ast.Module]:
    """The parsed modules of the package. Parsing takes a second: not where the tests are only collected."""
    return {path: ast.parse(text) for path, text in sources().items()}


def modules() -> set[str]:
    """The names of all modules and folders, of the server, the browser client, the examples and the tests."""
    roots = [ROOT / "src" / "bellcast", ROOT / "client" / "src", ROOT / "client" / "test", ROOT / "examples"]
    files = [file for root in [*roots, ROOT / "tests", ROOT / "scripts"] for file in project_files(root)]
    assert len(files) > 100
    return {part.partition(".")[0] for file in files for part in file.relative_to(ROOT).parts}


def project_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
        yield from (Path(folder, name) for name in files if name.endswith((".py", ".js")))


def words_after(beginning: str) -> list[str]:
    """Return the words that a sentence of the glossary lists."""
    (sentence,) = re.findall(rf"^{beginning}[^:]*:(.*?)\.$", read("glossary.md"), re.MULTILINE | re.DOTALL)
    return [word.strip() for word in re.sub(r"\(.*?\)", "", sentence, flags=re.DOTALL).split(",")]


def test_no_module_has_a_forbidden_name() -> None:
    drawers = words_after("Names that no module may have")
    assert len(drawers) == 9
    assert sorted(modules() & set(drawers)) == []


def test_modules_use_the_words_of_the_glossary() -> None:
    others = {word for word in words_after("Words to avoid") if word.isalpha()}
    assert len(others) > 5
    assert sorted(modules() & (others | {f"{word}s" for word in others})) == []


def test_each_word_has_one_entry_in_the_glossary() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", read("glossary.md"), re.MULTILINE)
    assert len(words) > 30
    assert len(set(words)) == len(words)


def type_names(tree: ast.Module) -> Iterator[str]:
    """The classes and type aliases of a module."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
                    yield name


def test_type_names_are_unique() -> None:
    """A port and its adapters share a name. `client` and `contrib` are separate programs: types of the client mirror the
    REST API, and frameworks prescribe names."""
    modules: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees().items():
        if not path.startswith(("client/", "contrib/")):
            for name in type_names(tree):
                modules[name].add(path)
    shared = {name for name, paths in modules.items() if len(paths) > 1 and not is_port_with_adapters(paths)}
    assert shared == set()


def is_port_with_adapters(paths: set[str]) -> bool:
    """True for one module of types, which has the port, and any number of modules of one package that implements it."""
    ports = {path for path in paths if "types" in (Path(path).stem, Path(path).parent.name)}
    return len(ports) == 1 and len({path.partition("/")[0] for path in paths - ports}) == 1


# Rooms that run statements of others: erasure and retention delete the rows of every room, exports read them, and the writer
# of PostgreSQL locks the inboxes of a batch.
ACROSS_ROOMS = re.compile(
    r"(recipients|tenants) erase\w+|inbox \w+_forget|exports \w+|kernel (lock_inboxes|lock_names|inboxes_of_names)"
)


def test_statements_are_used_in_the_room_that_defines_them() -> None:
    """The kernel is below all rooms, so that any of them may use its statements."""
    package = ROOT / "src" / "bellcast"
    owners = {
        head[2]: folder.partition("/")[0]
        for folder in statements.FOLDERS
        for file in (package / folder).glob("*.sql")
        for head in statements.HEAD.finditer(file.read_text(encoding="utf-8"))
        if head[1] in ("name", "list")
    }
    # Stores alone run statements. In their tables, a name has an underscore; a list's statements begin with its name.
    uses = {
        (path.partition("/")[0], re.sub(r"(_of_\w+?)?(_last|_total)?$", "", name) if name not in owners else name)
        for path, text in sources().items()
        if "/store" in path or path.startswith("kernel/")
        for name in re.findall(r'(?:(?:Statement|KeysetList)\(\s*|(?="\w+_))"(\w+)"', text)
    }
    foreign = {f"{room} {name}" for room, name in uses if owners.get(name, room) not in (room, "kernel")}
    assert {use for use in foreign if not ACROSS_ROOMS.fullmatch(use)} == set()


def test_stores_import_stores_types_and_the_kernel_only() -> None:
    """The rules of a room stand above its store."""
    imported = {
        f"{path}: {node.module}.{alias.name}"
        for path, tree in trees().items()
        if ("/store/" in path or path.endswith("/store.py")) and not path.startswith("cli/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bellcast.")
        for alias in node.names
    }
    assert {one for one in imported if not re.search(r": bellcast\.(kernel\.|(\w+\.)*(store|types)\b)", one)} == set()


PRIVATE_WORDS = {"told", "said", "found", "asked", "heard", "kept", "given", "gone", "whose"}


def declared_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Parameters, attributes, fields, functions and classes, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name, body=body):
                yield name, node.lineno
                for field in body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        yield field.target.id, field.lineno


def test_parameters_and_attributes_have_no_private_words() -> None:
    words = re.compile(rf"\b_*({'|'.join(PRIVATE_WORDS)})\b", re.IGNORECASE)
    uses = [
        f"{path}:{line} {name}"
        for path, text in sources().items()
        if words.search(text)
        for name, line in declared_names(trees()[path])
        if name.strip("_").lower() in PRIVATE_WORDS
    ]
    assert uses == []


# Former module names, by package.
FORMER_MODULES = {
    "auth": "doors callers recognise appjwt sessions pusher access",
    "calls": "answerer functions url newcomers",
    "brokers": "relay",
    "inbox": "entries people upkeep",
    "model": "people wording publishing buckets drafts",
    "server": "counting files pusher socketio",
    "settings": "readers",
    "api": "bounds faults reading answers rooms doors edge page client problems methods",
    "cli": "asking through silence pages databases checks folder neighbours sheet outbox_sheet screen stream workers",
    "outbox": "tail watching",
    "client": "answers senders surface notifier",
    "bench": "bell talks throng crowd everyone crossing callers stock trial samples resuming reactor trigger",
    "storage": "additions outright arrivals corrections intake touching lockstep lanes turns questions others people dump",
    "live": "answering arrivals audit census roll crowds changes following notices pace reactions reasons requests rules"
    " sweep turns homes rosters asking talks entrance handover joining foreign polling",
}


DESIGN_PAGES = [*sorted((DOCS / "design").glob("*.md")), ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
NAMED_PATH = re.compile(r"`(\w[\w.-]*(?:/[\w.-]+)*/?)`|(?<![\w/.`])((?:[\w-]+/)+[\w-]+\.(?:py|sql|js))\b")
IS_FILE = re.compile(r"[\w/-]+\.(py|sql|lua|js|css|toml|md|yml)")
NAMED_IN_CODE = re.compile(r"`(?:bellcast\.)?([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)\b(?!\.)[^`]*`")
# Names with dots of data, of tables, of the browser client and of other libraries.
NOT_OF_THE_PACKAGE = {
    *("recipient.nickname", "role.admin", "tenant.key", "recipients.opened"),
    *("schema_version.identity", "schema_version.started"),
    *("bellcast.outbox", "bellcast.notifications", "bellcast.announcements", "bellcast.refused"),
    *("inbox.apply", "inbox.applyOptimistic", "asyncio.Protocol", "host.process.secret", "socket.io", "io.emit"),
}


def design_texts() -> dict[str, str]:
    """The pages on the design, without their diffs: these show files that do not exist yet."""
    texts = {named(page): page.read_text(encoding="utf-8") for page in DESIGN_PAGES}
    return {
        page: re.sub(r"^```diff\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL) for page, text in texts.items()
    }


def ends_of(parts: tuple[str, ...], separator: str) -> set[str]:
    """Return a path or a dotted name, and all ends of it."""
    return {separator.join(parts[start:]) for start in range(len(parts))}


def test_files_and_folders_that_the_design_names_exist() -> None:
    known: set[str] = set()
    for root in ("src", "client", "tests", "scripts", "examples", "benchmarks", "docs", "deploy", ".github"):
        for folder, folders, files in os.walk(ROOT / root):
            known = known.union(*(ends_of(Path(folder, name).relative_to(ROOT).parts, "/") for name in folders + files))
            folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
    known |= {file.name for file in ROOT.iterdir()} | {"client/dist"}  # a checkout that is not built does not have it
    found = {
        (page, match[1] or match[2])
        for page, text in design_texts().items()
        for match in NAMED_PATH.finditer(text)
        if match[2] or "/" in match[1] or IS_FILE.fullmatch(match[1])
    }
    assert len(found) > 200
    assert sorted(name for name in found if name[1].rstrip("/") not in known) == []


def defined_names(owners: tuple[str, ...], body: list[ast.stmt]) -> Iterator[str]:
    """Yield what a module or a class defines, with the ends of its dotted name, such as `Class.member` and `module.function`."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ends_of((*owners, node.name), ".")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
            yield from (end for name in names for end in ends_of((*owners, name), "."))
        if isinstance(node, ast.ClassDef):
            yield from defined_names((*owners, node.name), node.body)


def test_names_in_the_code_that_the_design_names_exist() -> None:
    known: set[str] = set()
    for path, tree in trees().items():
        owners = tuple(path.removesuffix(".py").removesuffix("/__init__").split("/"))
        known |= ends_of(owners, ".") | set(defined_names(owners, tree.body))
    found = {(page, match[1]) for page, text in design_texts().items() for match in NAMED_IN_CODE.finditer(text)}
    names = {name for name in found if not IS_FILE.fullmatch(name[1])}
    assert len(names) > 100
    assert sorted(name for name in names if name[1] not in known | NOT_OF_THE_PACKAGE) == []


def test_former_module_names_are_not_used() -> None:
    found = [
        path
        for path in trees()
        for package, names in FORMER_MODULES.items()
        if path.startswith(f"{package}/") and Path(path).stem in names.split()
    ]
    assert found == []


@pytest.mark.parametrize("page", RECORDED)
def test_recorded_reference_page_is_generated_from_the_code(
    page: str, recorded: dict[str, subprocess.Popen[str]]
) -> None:
    _, error = recorded[page].communicate(timeout=60)
    assert recorded[page].returncode == 0, error
