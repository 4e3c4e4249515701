"""What syntax trees of templates say: the variables that a text reads, and how what it writes begins."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import nodes

from bellcast.templates.types import EACH, UsedVariable, VariableType

# Filters that determine the type of a value.
TYPES: Mapping[str, VariableType] = {
    **dict.fromkeys(("number", "money", "round", "abs", "int", "float"), "number"),
    **dict.fromkeys(("date", "time", "datetime"), "time"),
    **dict.fromkeys(("length", "join", "first", "last", "sort"), "list"),
}


def used_variables(
    node: nodes.Node, scope: Mapping[str, str], *, is_required: bool, type: VariableType = "string"
) -> Iterator[UsedVariable]:
    """Yield the variables of a node; `type` is what its value is used as. `scope` has the paths of the variables of loops."""
    path = _path(node, scope)
    if path is not None:
        yield UsedVariable(path, type, is_required)
        return
    match node:
        case nodes.Filter(name="default" | "d", node=nodes.Node() as value):
            yield from used_variables(value, scope, is_required=False, type=type)
        case nodes.Filter(node=nodes.Node() as value):
            yield from used_variables(value, scope, is_required=is_required, type=TYPES.get(node.name, type))
        case nodes.For():
            listed: nodes.Node = node.iter
            while isinstance(listed, nodes.Filter | nodes.Getitem) and _path(listed, scope) is None and listed.node:
                is_required &= not (isinstance(listed, nodes.Filter) and listed.name in ("default", "d"))
                listed = listed.node
            yield from used_variables(listed, scope, is_required=is_required, type="list")
            path = _path(listed, scope)
            inner = dict(scope)
            if path is not None and isinstance(node.target, nodes.Name):
                inner[node.target.name] = f"{path}{EACH}"
            for part in (*node.body, *node.else_):
                yield from used_variables(part, inner, is_required=False)
        case _:
            is_optional = isinstance(node, nodes.If | nodes.Test | nodes.CondExpr | nodes.And | nodes.Or)
            for part in node.iter_child_nodes():
                yield from used_variables(part, scope, is_required=is_required and not is_optional)


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


def begins_with(tree: nodes.Template, filter: str, names: tuple[str, ...]) -> bool:
    """Return whether all of the first value that a text writes passes a filter, or it begins with one of these variables."""
    node: Any = next(tree.find_all(nodes.Output)).nodes[0]
    while isinstance(node, nodes.Filter) and node.node is not None:
        if node.name == filter:
            return True
        node = node.node
    first = node.nodes[0] if isinstance(node, nodes.Concat) else node.left if isinstance(node, nodes.Add) else node
    return isinstance(first, nodes.Name) and first.name in names
