"""Parses the JSDoc comments of the browser client and the server SDK, for their references."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CLIENT = Path(__file__).parent.parent / "client" / "src"
COMMENT = re.compile(r"/\*\*((?:(?!\*/).)*)\*/", re.DOTALL)
TAG = re.compile(r"(?:^|(?<=\s))@([a-z]+)\b\s*")
# An import within a type, and the name under which React's files import the class `Session`.
IMPORT = re.compile(r"import\('[^']*'\)\.|\bLive(?=Session\b)")


class Tag(NamedTuple):
    """`@name {type} text`; the type is empty if there is none."""

    name: str
    type: str
    text: str

    def split(self) -> tuple[str, str]:
        """Return the first word of the text, without brackets, and the rest."""
        word, _, rest = self.text.partition(" ")
        return word.strip("[]"), rest.strip()

    @property
    def is_optional(self) -> bool:
        return self.text.startswith("[")


class Comment(NamedTuple):
    """The text before the first tag, and the tags."""

    text: str
    tags: list[Tag]

    def all(self, name: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name == name]

    def type_of(self, name: str) -> str | None:
        """Return the type of the first tag of this name."""
        return next((tag.type for tag in self.all(name)), None)


def read(file: str) -> str:
    """Return the source of a file below `client/src`."""
    return (CLIENT / file).read_text(encoding="utf-8")


def parse(comment: str) -> Comment:
    """Parse the inside of a comment."""
    text = " ".join(line.strip().removeprefix("*").strip() for line in comment.splitlines()).strip()
    marks = [mark for mark in TAG.finditer(text) if not _is_inside_braces(text, mark.start())]
    starts = [*(mark.start() for mark in marks), len(text)]
    tags = [_tag(mark[1], text[mark.end() : end].strip()) for mark, end in zip(marks, starts[1:], strict=True)]
    return Comment(text[: starts[0]].strip(), tags)


def comments(source: str) -> Iterator[Comment]:
    """Yield all comments of a source."""
    return (parse(found[1]) for found in COMMENT.finditer(source))


def before(source: str, at: int) -> Comment:
    """Return the comment that ends where the declaration at this place begins; an empty one if there is none."""
    head = source[:at].rstrip()
    if not head.endswith("*/"):
        return Comment("", [])
    return parse(head[head.rindex("/**") + 3 : -2])


def _is_inside_braces(text: str, at: int) -> bool:
    return text.count("{", 0, at) > text.count("}", 0, at)


def _tag(name: str, text: str) -> Tag:
    if not text.startswith("{"):
        return Tag(name, "", text)
    end = closing(text)
    return Tag(name, IMPORT.sub("", " ".join(text[1:end].split())), text[end + 1 :].strip())


def closing(text: str) -> int:
    """Return the index of the bracket that closes the first one."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "{[(") - (character in "}])")
        if depth == 0:
            return at
    raise ValueError(f"unbalanced: {text[:80]}")
