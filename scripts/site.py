"""Builds the documentation site: `python scripts/site.py FOLDER` writes it to FOLDER/html, without network access.

The pages are written for the repository: their links point to files of the repository, and comments before their code
blocks contain options for the tests. FOLDER/pages has copies for the site generator. A broken link fails the build."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CONFIG = DOCS / "zensical.toml"
# Pages and files outside docs/ that pages link to.
PROJECT = Path("project")
FENCE = re.compile(r"(?:^<!-- run:((?: +[\w.=/-]+)*) -->\n)?^```(\w+)$", re.MULTILINE)
BLOCK = re.compile(r"(?:^<!-- run:[^\n]*\n)?^```.*?^```$", re.MULTILINE | re.DOTALL)
# A block that only the tests execute.
HIDDEN = re.compile(r"^<!--\w+(?: +[\w.=/-]+)*\n.*?^-->\n?", re.MULTILINE | re.DOTALL)
# In the repository, the reader's system selects the picture; on the site, the reader's choice does.
PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img src="([^"]+)"([^>]*)>\s*</picture>')
IMAGE = re.compile(r'(<img src=")([^"#]+)')
# The same example in several languages: a title in bold above each. On the site, they are tabs.
TABS = re.compile(r"^<!-- tabs -->\n(.*?)^<!-- /tabs -->$", re.MULTILINE | re.DOTALL)
TAB = re.compile(r"^\*\*(\w+)\*\*$", re.MULTILINE)
# Style sheet and script of the site, beside the server's mark.
EXTRAS = [DOCS / "site/site.css", DOCS / "site/site.js"]
MARK = ROOT / "src/bellcast/console/pages/icons/favicon.svg"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def place(path: Path) -> Path:
    """Return the path of a repository file within the site's pages."""
    return path.relative_to(DOCS) if path.is_relative_to(DOCS) else PROJECT / path.relative_to(ROOT)


class Stage:
    """Copies pages, and the files they link to, into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copied: set[Path] = set()
        self._pages = [DOCS / "index.md", *sorted(DOCS.rglob("*.md"))]

    def copy(self) -> None:
        while self._pages:
            page = self._pages.pop()
            if page not in self._copied:
                self._copied.add(page)
                text = "".join(self._converted(page, part) for part in parts(page.read_text(encoding="utf-8")))
                self._write(page, TABS.sub(tabs, text))

    def _converted(self, page: Path, part: str) -> str:
        if part.startswith(("```", "<!-- run:")):
            return FENCE.sub(fence, part, count=1)
        text = PICTURE.sub(r'<img src="\2#only-light"\3><img src="\1#only-dark"\3>', HIDDEN.sub("", part))
        text = IMAGE.sub(lambda match: match[1] + self._copied_to(page, page.parent / match[2]), text)
        return LINK.sub(lambda match: self._link(page, match), text)

    def _link(self, page: Path, match: re.Match[str]) -> str:
        image, text, link = match.groups()
        path, _, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        target = Path(os.path.normpath(page.parent / path))
        if not target.is_file() or not target.is_relative_to(ROOT):
            return match[0] if target.is_relative_to(DOCS) else text  # folders of the repository
        return f"{image}[{text}]({self._copied_to(page, target)}{'#' if anchor else ''}{anchor})"

    def _copied_to(self, page: Path, target: Path) -> str:
        """Copy a linked file once, and return its path relative to the page."""
        target = Path(os.path.normpath(target))
        if target.suffix == ".md":
            self._pages.append(target)
        elif target not in self._copied:
            self._copied.add(target)
            self._destination(target).write_bytes(target.read_bytes())
        return Path(os.path.relpath(place(target), place(page).parent)).as_posix()

    def _write(self, page: Path, text: str) -> None:
        self._destination(page).write_text(text, encoding="utf-8")

    def _destination(self, path: Path) -> Path:
        destination = self._folder / place(path)
        destination.parent.mkdir(parents=True, exist_ok=True)
        return destination


def parts(text: str) -> Iterator[str]:
    """The code blocks of a page, and the texts between them."""
    end = 0
    for block in BLOCK.finditer(text):
        yield text[end : block.start()]
        yield block[0]
        end = block.end()
    yield text[end:]


def tabs(match: re.Match[str]) -> str:
    """Examples in several languages as tabs of the site."""
    _, *titles_and_texts = TAB.split(match[1])
    pairs = zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True)
    return "".join(f'=== "{title}"\n{textwrap.indent(text, "    ")}' for title, text in pairs)


def fence(match: re.Match[str]) -> str:
    """The start of a code block without the options of the tests; a file's name becomes the title."""
    options = dict(option.partition("=")[::2] for option in (match[1] or "").split())
    title = f' title="{options["file"]}"' if "file" in options else ""
    return f"```{match[2]}{title}"


def stage(folder: Path) -> None:
    """Write the configuration and the pages for the generator into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(CONFIG, folder)
    Stage(folder / "pages").copy()
    extras = folder / "pages" / "site"
    extras.mkdir()
    for file in EXTRAS:
        shutil.copy(file, extras)
    shutil.copy(MARK, extras / "mark.svg")


def generate(folder: Path) -> int:
    """Generate the site from a folder's pages; return the exit status. A broken link fails."""
    generator = str(Path(sys.executable).with_name("zensical"))
    command = [generator, "build", "--strict", "--config-file", CONFIG.name]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
    sys.exit(generate(Path(sys.argv[1])))
