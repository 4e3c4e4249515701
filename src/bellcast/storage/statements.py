"""The statements of `storage/sql`: each has a name, a sentence and one text, or one per dialect where they differ.

-- name: inbox_state
-- Read the state of one inbox.
SELECT …

-- name: of_ids @sqlite
"""

import re
from importlib import resources

HEAD = re.compile(r"^-- name: (\w+)(?: @(\w+))?$", re.MULTILINE)
PARAMETER = re.compile(r"(?<!:):([a-z_]+)")  # not a cast, `::`
COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def load(dialect: str) -> dict[str, str]:
    """Load the texts of all statements by name; the dialect's text replaces the common one."""
    found: dict[str, str] = {}
    own: dict[str, str] = {}
    for file in sorted(resources.files("bellcast.storage").joinpath("sql").iterdir(), key=lambda file: file.name):
        for name, only, text in _parse(file.read_text(encoding="utf-8")):
            if only in ("", dialect):
                target = own if only else found
                if name in target:
                    raise ValueError(f"{file.name}: the statement {name} is defined twice")
                target[name] = text
    return found | own


def _parse(text: str) -> list[tuple[str, str, str]]:
    _, *parts = HEAD.split(text)
    return [(name, only or "", body.strip()) for name, only, body in zip(*[iter(parts)] * 3, strict=True)]


def body(text: str) -> str:
    """Return a statement without its comments."""
    return COMMENT.sub("", text).strip()
