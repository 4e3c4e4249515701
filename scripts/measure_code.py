"""Measures the size of `src/bellcast` and fails outside of its bounds: `make check` runs it.

The bounds are the figures that have been reached, lines rounded up to hundreds. Lower them with the code; a change that
must raise one says why in its commit. Fewer lines may not come from denser ones: the median function and the share of docstrings stay."""

import ast
import gc
import statistics
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bellcast"
LINKED = ("browser", "examples")  # symbolic links to folders outside of the package
BOUNDS = {  # at least, at most
    "lines": (0, 88_441),
    "modules": (0, 425),
    "classes": (0, 1_196),
    "functions": (0, 5_462),
    "private functions used once": (0, 482),
    "functions that only pass their parameters on": (0, 14),
    "median lines of a function": (5, 6),
    "docstrings of 100 public functions": (75, 100),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    figures = measure()
    for name, figure in figures.items():
        print(f"{figure:>8,}  {name}")
    outside = {
        name: BOUNDS[name] for name, figure in figures.items() if not BOUNDS[name][0] <= figure <= BOUNDS[name][1]
    }
    for name, (least, most) in outside.items():
        print(
            f"src/bellcast has {figures[name]:,} {name}; expected {least:,} to {most:,}, the bounds in scripts/measure_code.py."
        )
    return 1 if outside else 0


def measure() -> dict[str, int]:
    """Return the figures of the package, by the names in BOUNDS."""
    gc.disable()  # 700,000 nodes stay; looking for garbage among them would take a third of the time
    files = [file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] not in LINKED]
    sources = [file.read_text(encoding="utf-8") for file in files]
    modules = [list(ast.walk(ast.parse(source))) for source in sources]
    functions = [node for nodes in modules for node in nodes if isinstance(node, Function)]
    public = [one for one in functions if not one.name.startswith("_")]
    return {
        "lines": sum(source.count("\n") for source in sources),
        "modules": len(files),
        "classes": sum(isinstance(node, ast.ClassDef) for nodes in modules for node in nodes),
        "functions": len(functions),
        "private functions used once": sum(map(_private_used_once, modules)),
        "functions that only pass their parameters on": sum(map(_only_passes_on, functions)),
        "median lines of a function": int(
            statistics.median((one.end_lineno or 0) - one.lineno + 1 for one in functions)
        ),
        "docstrings of 100 public functions": 100
        * sum(ast.get_docstring(one) is not None for one in public)
        // len(public),
    }


def _private_used_once(nodes: list[ast.AST]) -> int:
    uses = Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in nodes
        if isinstance(node, ast.Name | ast.Attribute)
    )
    return sum(
        isinstance(node, Function)
        and node.name.startswith("_")
        and not node.name.endswith("__")
        and uses[node.name] == 1
        for node in nodes
    )


def _only_passes_on(function: Function) -> bool:
    """Whether the body is one call whose arguments are the function's own parameters, all of them, in their order."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    if len(body) != 1 or not isinstance(body[0], ast.Return | ast.Expr):
        return False
    call = body[0].value.value if isinstance(body[0].value, ast.Await) else body[0].value
    if not isinstance(call, ast.Call):
        return False
    passed = [*call.args, *(keyword.value for keyword in call.keywords)]
    names = [argument.id if isinstance(argument, ast.Name) else None for argument in passed]
    parameters = function.args
    own = [one.arg for one in (*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs)]
    return bool(names) and names == [name for name in own if name not in ("self", "cls")]


if __name__ == "__main__":
    sys.exit(main())
