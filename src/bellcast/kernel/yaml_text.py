"""Definitions in YAML, with the line of each part for errors. Aliases are refused, because a short text with them can
expand to a huge value."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from bellcast.kernel.errors import BadRequest, FieldError

MAX_DEPTH = 100
# Twice a definition of the largest size, which has comments.
MAX_BYTES = 524_288
# Keys and values. Each takes up to 80 µs: those that fit into MAX_BYTES would take 20 s.
MAX_NODES = 20_000
# Numbers that JSON does not have. Those to base 60 are times: YAML 1.1 reads 22:00 as 1320.
NO_NUMBER = re.compile(r"[-+]?\.(?:inf|nan)|.*:.*", re.IGNORECASE)


class _Loader(yaml.SafeLoader):
    """Loads only JSON's types: a date and a time remain texts."""

    nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose the next node, unless it is an alias."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise BadRequest(f"The YAML has more than {MAX_NODES} keys and values.")
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]  # its stub has no types
            raise _unreadable("The YAML has an alias instead of the value", line)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge", ":value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Part:
    """A part of the text: its line, the first line of its block text (`|`), and its own parts by name. A map of whole
    paths would take 8 GB for 256 KiB of YAML, because each part below a long name repeats it."""

    __slots__ = ("block", "line", "parts")

    def __init__(self, line: int) -> None:
        self.line = line
        self.block: int | None = None
        self.parts: dict[str, _Part] = {}

    def find(self, path: str) -> "tuple[_Part, bool]":
        """Return the part with this path below this one, or the closest enclosing part, and whether it is exact. Names
        may contain dots."""
        name = path
        while name:
            if name in self.parts:
                return self.parts[name].find(path[len(name) + 1 :])
            name = name.rpartition(".")[0]
        return self, not path


class YamlText:
    """A parsed text: its value, and the lines of its parts. Raises BadRequest if it cannot be read or is too large."""

    def __init__(self, text: bytes) -> None:
        if len(text) > MAX_BYTES:
            raise BadRequest(f"The YAML has more than {MAX_BYTES} bytes.")
        self._root = _Part(1)
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            self._root.line = 1 if node is None else _line(node)
            self.value = None if node is None else self._read(loader, node, self._root, 0)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "it has a value that cannot be read"
            raise _unreadable(f"The body is not YAML: {problem}", None if mark is None else mark.line + 1) from None

    def _read(self, loader: _Loader, node: Any, part: _Part, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise BadRequest(f"The YAML is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(node, yaml.SequenceNode):
            part.parts = {str(number): _Part(_line(one)) for number, one in enumerate(node.value)}
            return [
                self._read(loader, one, inner, depth + 1)
                for one, inner in zip(node.value, part.parts.values(), strict=True)
            ]
        if not isinstance(node, yaml.MappingNode):
            if node.style == "|":
                part.block = _line(node) + 1
            is_text = node.tag.endswith((":int", ":float")) and NO_NUMBER.fullmatch(node.value)
            return node.value if is_text else loader.construct_object(node)
        found: dict[str, Any] = {}
        for key, inner in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _unreadable(
                    "The YAML has braces in the place of a text: write quotes around a text with {{ or {%", _line(key)
                )
            name = str(key.value)
            if name in found:
                raise _unreadable(f"The YAML repeats the key {name[:100]!r}", _line(key))
            part.parts[name] = _Part(_line(key))
            found[name] = self._read(loader, inner, part.parts[name], depth + 1)
        return found

    def with_lines(self, errors: Sequence[FieldError]) -> list[FieldError]:
        """Return the errors with the line of the part, or of the closest enclosing part."""
        found: list[FieldError] = []
        for error in errors:
            part, is_exact = self._root.find(error.field)
            is_in_block = error.line is not None and is_exact and part.block is not None
            line = (part.block or 0) + (error.line or 0) - 1 if is_in_block else part.line
            found.append(error._replace(line=line))
        return found


def _unreadable(problem: str, line: int | None) -> BadRequest:
    if line is None:
        return BadRequest(f"{problem}.")
    return BadRequest(f"{problem} in line {line}.", errors=(FieldError("", problem, line),))


def _line(node: Any) -> int:
    line: int = node.start_mark.line
    return line + 1
