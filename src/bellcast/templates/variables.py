"""The variables that a template reads: their paths, and which of them a send must have."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from jinja2 import nodes
from msgspec import Struct

from bellcast.templates import rendering
from bellcast.templates.types import Template

VariableType = Literal["string", "number", "boolean", "time", "list", "object"]
# Filters that determine the type of a value.
TYPES: Mapping[str, VariableType] = {
    **dict.fromkeys(("number", "money", "round", "abs", "int", "float"), "number"),
    **dict.fromkeys(("date", "time", "datetime"), "time"),
    **dict.fromkeys(("length", "join", "first", "last", "sort"), "list"),
}
# An element of a list, in a path such as `data.items[].name`.
EACH = "[]"


class UsedVariable(Struct, frozen=True):
    """A variable of a text. Without a value for one that is required, a send is refused."""

    path: str
    type: VariableType
    is_required: bool


def required(template: Template) -> set[str]:
    """Return the paths in the data that every send of a valid template must have."""
    return {one.path for one in used(template) if one.is_required and one.path.startswith("data.")}


def used(template: Template) -> list[UsedVariable]:
    """Return the variables that a valid template reads, by path."""
    all_parts = (template, *template.translations.values())
    texts = [(text, field == "email.html") for parts in all_parts for field, text in parts.texts()]
    texts += [(parts.email.compiled, True) for parts in all_parts if parts.email and parts.email.compiled is not None]
    blocks = [parts.email.blocks for parts in all_parts if parts.email is not None]
    return used_in(texts, of_conditions(msgspec.to_builtins(blocks)))


def used_in(texts: Iterable[tuple[str, bool]], conditions: Iterable[str] = ()) -> list[UsedVariable]:
    """Return the variables that valid texts read, each with whether it is HTML, and the paths that conditions read."""
    found: dict[str, UsedVariable] = {}
    for source, is_html in texts:
        for one in _read(rendering.parse(source, is_html=is_html), {}, is_required=True):
            before = found.get(one.path, one)
            type = one.type if before.type == "string" else before.type
            found[one.path] = UsedVariable(one.path, type, before.is_required or one.is_required)
    for path in conditions:
        found.setdefault(path, UsedVariable(path, "string", is_required=False))
    parents = {path.rpartition(".")[0] for path in found}
    return [
        found[path]
        for path in sorted(found)
        if (path not in parents and f"{path}{EACH}" not in parents | found.keys()) or found[path].type == "list"
    ]


def of_conditions(value: Any) -> Iterator[str]:
    """Yield the paths that conditions in a JSON value read: `{"var": "data.total"}`."""
    if isinstance(value, dict):
        path = value.get("var")
        if isinstance(path, str):
            yield path
        value = list(value.values())
    for one in value if isinstance(value, list | tuple) else ():
        yield from of_conditions(one)


def _read(
    node: nodes.Node, scope: Mapping[str, str], *, is_required: bool, type: VariableType = "string"
) -> Iterator[UsedVariable]:
    """Yield the variables of a node; `type` is what its value is used as. `scope` has the paths of the variables of loops."""
    path = _path(node, scope)
    if path is not None:
        yield UsedVariable(path, type, is_required)
        return
    match node:
        case nodes.Filter(name="default" | "d", node=nodes.Node() as value):
            yield from _read(value, scope, is_required=False, type=type)
        case nodes.Filter(node=nodes.Node() as value):
            yield from _read(value, scope, is_required=is_required, type=TYPES.get(node.name, type))
        case nodes.For():
            listed: nodes.Node = node.iter
            while isinstance(listed, nodes.Filter | nodes.Getitem) and _path(listed, scope) is None and listed.node:
                is_required &= not (isinstance(listed, nodes.Filter) and listed.name in ("default", "d"))
                listed = listed.node
            yield from _read(listed, scope, is_required=is_required, type="list")
            path = _path(listed, scope)
            inner = dict(scope)
            if path is not None and isinstance(node.target, nodes.Name):
                inner[node.target.name] = f"{path}{EACH}"
            for part in (*node.body, *node.else_):
                yield from _read(part, inner, is_required=False)
        case _:
            is_optional = isinstance(node, nodes.If | nodes.Test | nodes.CondExpr | nodes.And | nodes.Or)
            for part in node.iter_child_nodes():
                yield from _read(part, scope, is_required=is_required and not is_optional)


def _path(node: nodes.Node, scope: Mapping[str, str]) -> str | None:
    """Return the path of `a.b`, `a["b"]` or the variable of a loop; None of anything else."""
    match node:
        case nodes.Name(ctx="load"):
            return scope.get(node.name, node.name)
        case nodes.Getattr():
            owner = _path(node.node, scope)
            return None if owner is None else f"{owner}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=str() as name)):
            owner = _path(node.node, scope)
            return None if owner is None else f"{owner}.{name}"
    return None
