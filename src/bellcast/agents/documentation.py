"""The documentation as text for language models, and a search in its sections."""

import functools
import posixpath
import re
import textwrap
from pathlib import Path
from typing import Any

# In a checkout a symbolic link to `docs`.
FOLDER = Path(__file__).parent / "pages"
# In the order in which a reader needs them; what explains the design comes last.
FIRST = (
    "index.md",
    "how-it-fits-together.md",
    "comparison.md",
    "glossary.md",
    "tutorial/*.md",
    "howto/*.md",
    "migrate/*.md",
)
LAST = ("reference/*.md", "design/*.md")
SECTION = re.compile(r"^(?=#{1,4} )", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
# A link to a file beside the page or above it: a page, a picture, a file of the repository.
FILE_LINK = re.compile(r"!?\[([^\]]*)\]\(((?:\.\./|[\w/-]+\.(?:md|png|webp|svg))[^)#\s]*)(?:#[^)\s]*)?\)")
MARK = re.compile(r"<!--.*?-->\n?|</?picture>\n?|<(?:source|img)[^>]*>\n?", re.DOTALL)
# Sections in an answer, and characters of each: together less than an answer may have.
MAX_SECTIONS = 8
MAX_SECTION = 4_000
# The beginning of a paragraph that says what a page is about: not of code, a table or a list, nor of what the page needs.
SUBJECT = re.compile(r"(?!```|This page (?:is generated|needs)|The commands on this page)[\w`*“]")
# Characters of a page's summary in the overview.
MAX_SUMMARY = 140


@functools.cache
def pages() -> dict[str, str]:
    """Return the pages by their paths, the ones that readers need first at the beginning."""
    files = [file for pattern in FIRST + LAST for file in sorted(FOLDER.glob(pattern))]
    texts = {str(file.relative_to(FOLDER)): MARK.sub("", file.read_text(encoding="utf-8")).strip() for file in files}
    # The server has no pictures and no repository: of a link to one of their files, the text stays.
    for path, text in texts.items():
        for link in FILE_LINK.finditer(text):
            if posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2])) not in texts:
                texts[path] = texts[path].replace(link[0], link[1])
    return texts


def overview() -> str:
    """Return `llms.txt`: a link to each page with its title and first sentence."""
    lines = [
        "# Bellcast",
        "",
        "> A self-hosted notification server: one durable inbox behind SSE, WebSocket, Socket.IO and Pusher clients, with e-mail, "
        "SMS, push, chat, workflows and preferences.",
        "",
        "All pages as one text: [llms-full.txt](/llms-full.txt). The REST API: [openapi.json](/openapi.json).",
    ]
    section = ""
    for path, text in pages().items():
        folder = path.partition("/")[0] if "/" in path else "start"
        if folder != section:
            section = folder
            lines += ["", f"## {folder.capitalize()}", ""]
        title, _, rest = text.partition("\n")
        words = next((LINK.sub(r"\1", one) for one in rest.split("\n\n") if SUBJECT.match(one.lstrip())), "")
        sentence = re.split(r"(?<=\.) (?=[A-Z`*\"])", " ".join(words.split()))[0].rstrip(":")
        summary = textwrap.shorten(sentence, MAX_SUMMARY, placeholder=" …")
        lines.append(f"- [{title.lstrip('# ')}](/llms/{path}){f': {summary}' if summary else ''}")
    return "\n".join(lines) + "\n"


def full() -> str:
    """Return `llms-full.txt`: all pages."""
    return "\n\n".join(f"<!-- {path} -->\n{text}" for path, text in pages().items()) + "\n"


@functools.cache
def _sections() -> list[tuple[str, str]]:
    return [
        (path, section.strip()) for path, text in pages().items() for section in SECTION.split(text) if section.strip()
    ]


def search(text: str, after: str) -> dict[str, Any]:
    """Return sections that contain all words, those with the words in their titles first."""
    words, start = text.casefold().split(), int(after) if after.isdecimal() else 0
    ranked = []
    for number, (page, section) in enumerate(_sections()):
        content, title = section.casefold(), section.partition("\n")[0].casefold()
        if all(word in content for word in words):
            score = sum(10 * (word in title) + min(content.count(word), 5) for word in words)
            ranked.append((-score, number, page, section))
    ranked.sort()
    shown = ranked[start : start + MAX_SECTIONS]
    following = str(start + MAX_SECTIONS) if len(ranked) > start + MAX_SECTIONS else None
    sections = [{"page": page, "text": section[:MAX_SECTION]} for _, _, page, section in shown]
    return {"sections": sections, "total": len(ranked), "next": following}
