"""Definitions in YAML, with the line of each part for errors. Aliases are refused, because a short text with them can
expand to a huge value."""

from collections.abc import Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are another package

from bellcast.errors import BadRequest, FieldError

MAX_DEPTH = 100


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # untyped
    """Loads only JSON's types: a date remains text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose the next node, unless it is an alias."""
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1
            raise _unreadable("The YAML has an alias instead of the value", line)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge", ":value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class YamlText:
    """A parsed text: its value, and the lines of its parts. Raises BadRequest if it cannot be read."""

    def __init__(self, text: bytes) -> None:
        self._lines: dict[str, int] = {}
        self._blocks: dict[str, int] = {}  # the first lines of block texts (`|`)
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            self.value = None if node is None else self._read(loader, node, "", 0)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "it cannot be read"
            raise _unreadable(f"The body is not YAML: {problem}", None if mark is None else mark.line + 1) from None
        except (UnicodeDecodeError, ValueError, OverflowError, RecursionError):
            raise BadRequest("The body is not YAML: it has a value that cannot be read.") from None

    def _read(self, loader: _Loader, node: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise BadRequest(f"The YAML is nested deeper than {MAX_DEPTH} levels.")
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(loader, one, _below(path, number), depth + 1) for number, one in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            if node.style == "|":
                self._blocks[path] = node.start_mark.line + 2
            return loader.construct_object(node)
        found: dict[str, Any] = {}
        for key, inner in node.value:
            name = str(key.value)
            if name in found:
                raise _unreadable(f"The YAML repeats the key {name[:100]!r}", key.start_mark.line + 1)
            self._lines[_below(path, name)] = key.start_mark.line + 1
            found[name] = self._read(loader, inner, _below(path, name), depth + 1)
        return found

    def with_lines(self, errors: Sequence[FieldError]) -> list[FieldError]:
        """Return the errors with the line of the part, or of the closest enclosing part."""
        return [error._replace(line=self._line_of(error)) for error in errors]

    def _line_of(self, error: FieldError) -> int:
        if error.line is not None and error.field in self._blocks:
            return self._blocks[error.field] + error.line - 1
        path = error.field
        while path not in self._lines and path:
            path = path.rpartition(".")[0]
        return self._lines.get(path, 1)


def _unreadable(problem: str, line: int | None) -> BadRequest:
    if line is None:
        return BadRequest(f"{problem}.")
    return BadRequest(f"{problem} in line {line}.", errors=(FieldError("", problem, line),))


def _below(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
