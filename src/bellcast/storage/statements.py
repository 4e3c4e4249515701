"""The statements of `storage/sql`: each has a name, a sentence and one text, or one a dialect where they differ.

-- name: inbox_state
-- Where one inbox stands.
SELECT …

-- name: of_ids @sqlite
"""

import re
from importlib import resources

HEAD = re.compile(r"^-- name: (\w+)(?: @(\w+))?$", re.MULTILINE)
PARAMETER = re.compile(r"(?<!:):([a-z_]+)")  # not a cast, `::`
COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def load(dialect: str) -> dict[str, str]:
    """Every statement's text for `dialect`, by name; its own text goes before the common one."""
    found: dict[str, str] = {}
    own: dict[str, str] = {}
    for file in sorted(resources.files("bellcast.storage").joinpath("sql").iterdir(), key=lambda file: file.name):
        for name, only, text in _parse(file.read_text(encoding="utf-8")):
            if only in ("", dialect):
                kept = own if only else found
                if name in kept:
                    raise ValueError(f"{file.name}: the statement {name} is there twice")
                kept[name] = text
    return found | own


def _parse(text: str) -> list[tuple[str, str, str]]:
    _, *parts = HEAD.split(text)
    return [(name, only or "", body.strip()) for name, only, body in zip(*[iter(parts)] * 3, strict=True)]


def body(text: str) -> str:
    """A statement without its sentence."""
    return COMMENT.sub("", text).strip()
