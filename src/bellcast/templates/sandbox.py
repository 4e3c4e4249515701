"""A Jinja2 environment for templates from the API: data in, text out, within bounds of time and size.

Templates see JSON values only. `a.items` is the key `items` of `a`; values have no methods and no Python attributes
that could lead out of the sandbox. Loops, calls, filters and every operation that can grow a text check the bounds
of the rendering, because a template can also consume time and memory without writing anything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from time import monotonic
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup, escape

# A template of a page of text renders in well under a millisecond.
MAX_SECONDS = 0.25
# Gmail clips a message at 102 KiB; providers refuse far smaller texts than this.
MAX_BYTES = 512 * 1024
TOO_SLOW = f"takes longer than {MAX_SECONDS} s"
TOO_LARGE = f"renders more than {MAX_BYTES // 1024} KiB"
# Every JSON value has a bounded form except whole numbers: 10**10**10 would take minutes.
MAX_INTEGER = 2**64

# Tags that read other templates have no loader to read from; the message is clearer when they are refused by name.
REFUSED_TAGS = {nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from", nodes.Extends: "extends"}

PLAIN_FILTERS = [
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "groupby",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
]
TESTS = [
    "boolean",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
    "upper",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
]


class BoundExceeded(Exception):
    """The rendering was stopped; the message names the exceeded bound."""


class Rendering:
    """One rendering in progress: its deadline, its variables, and names that templates used and that are missing."""

    def __init__(self, variables: Mapping[str, Any], *, is_strict: bool) -> None:
        self.variables = variables
        self.is_strict = is_strict
        self.missing: dict[str, None] = {}  # a set in order
        self._deadline = monotonic() + MAX_SECONDS

    def check_time(self) -> None:
        """Raise BoundExceeded after the deadline."""
        if monotonic() > self._deadline:
            raise BoundExceeded(TOO_SLOW)

    def path_of(self, value: object, name: str) -> str:
        """The path of the missing key `name` of `value`, as the template's author writes it."""
        for path, item in _walk(self.variables):
            if item is value:
                return f"{path}.{name}"
        return name


RENDERING: ContextVar[Rendering] = ContextVar("rendering")


def _walk(variables: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    queue: list[tuple[str, object]] = list(variables.items())
    while queue:
        path, item = queue.pop(0)
        yield path, item
        if isinstance(item, Mapping):
            queue += [(f"{path}.{name}", inner) for name, inner in item.items()]
        elif isinstance(item, list | tuple):
            queue += [(f"{path}.{number}", inner) for number, inner in enumerate(item)]


def check_size(text: Any) -> Any:
    """Return the value. Raises BoundExceeded if it is a text or a list above the limit."""
    if isinstance(text, str | list | tuple) and len(text) > MAX_BYTES:
        raise BoundExceeded(TOO_LARGE)
    return text


class MissingVariable(Exception):
    """A template used a variable that has no value, without `default()`."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has no value")
        self.path = path


class Missing(jinja2.Undefined):
    """A name without a value. It is false, and `default()` replaces it; any other use raises MissingVariable, or is
    recorded and empty in a preview."""

    __slots__ = ()

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise MissingVariable(self._record())

    def _record(self) -> str:
        path = str(self._undefined_name)
        RENDERING.get().missing[path] = None
        return path

    def __str__(self) -> str:
        path = self._record()
        if RENDERING.get().is_strict:
            raise MissingVariable(path)
        return ""

    def __iter__(self) -> Iterator[Any]:
        return iter(str(self))

    def __len__(self) -> int:
        return len(str(self))

    def __repr__(self) -> str:
        return str(self)

    # Jinja binds these names to its own method when it makes the class.
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _fail_with_undefined_error
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _fail_with_undefined_error
    __pow__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pos__ = _fail_with_undefined_error
    __int__ = __float__ = __call__ = __getitem__ = _fail_with_undefined_error


class Environment(SandboxedEnvironment):
    """Jinja2 on JSON values."""

    intercepted_binops = frozenset({"+", "*", "**", "%", "//", "/"})

    def __init__(self, filters: Mapping[str, Callable[..., Any]], *, autoescape: bool) -> None:
        super().__init__(
            autoescape=autoescape, undefined=Missing, finalize=_empty_if_null, auto_reload=False, cache_size=0
        )
        own: dict[str, Callable[..., Any]] = {"join": _join, "replace": _replace, **filters}
        known = {name: self.filters[name] for name in PLAIN_FILTERS}
        self.filters = {name: _bounded(filter) for name, filter in (known | own).items()}
        self.filters["_loop"] = _loop
        self.filters["_concat"] = _concat
        self.tests = {name: self.tests[name] for name in TESTS}
        self.globals = {"range": _range}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: a key of a mapping, or an attribute of `loop` and `caller`."""
        if isinstance(obj, LoopContext | Macro):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a["b"]`, `a[0]`, `a[1:3]`."""
        if isinstance(obj, Mapping):
            if argument in obj:
                return obj[argument]
        elif isinstance(obj, str | Sequence) and not isinstance(argument, str):
            try:
                return obj[argument]
            except (IndexError, TypeError):
                pass
        elif isinstance(obj, Missing):
            return obj
        return Missing(name=RENDERING.get().path_of(obj, str(argument)))

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Every call in a template passes here."""
        RENDERING.get().check_time()
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Every operation that can grow a value passes here."""
        RENDERING.get().check_time()
        if operator == "%" and isinstance(left, str):
            raise BoundExceeded("uses % on a text: use filters")
        if operator == "**" and (abs(left) > MAX_INTEGER or abs(right) > 64):
            raise BoundExceeded("computes a number that is too large")
        if operator == "*":
            _check_repetition(left, right)
            _check_repetition(right, left)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) > MAX_INTEGER**2:
            raise BoundExceeded("computes a number that is too large")
        return check_size(result)

    def _generate(self, source: nodes.Template, name: Any, filename: Any, defer_init: bool = False) -> str:  # noqa: FBT001, FBT002  as the base class has it
        self._check_names(source)
        _guard(source)
        return super()._generate(source, name, filename, defer_init)

    def _check_names(self, tree: nodes.Template) -> None:
        """Jinja looks up filters and tests inside an `if` when it renders it, which is too late for the author."""
        for kind, known in ((nodes.Filter, self.filters), (nodes.Test, self.tests)):
            for node in tree.find_all(kind):
                if node.name not in known:
                    label = "filter" if kind is nodes.Filter else "test"
                    raise jinja2.TemplateSyntaxError(f"there is no {label} named {node.name!r}", node.lineno)


def _empty_if_null(value: Any) -> Any:
    return "" if value is None else value


def _guard(tree: nodes.Template) -> None:
    """Route loops and `~` through filters that check the bounds."""
    for kind, tag in REFUSED_TAGS.items():
        for node in tree.find_all(kind):
            raise jinja2.TemplateSyntaxError(f"{{% {tag} %}} is not available here", node.lineno)
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "_loop", [], [], None, None, lineno=loop.lineno)
    for parent in [tree, *tree.find_all(nodes.Node)]:
        for field, value in list(parent.iter_fields()):
            if isinstance(value, nodes.Concat):
                setattr(parent, field, _concat_filter(value))
            elif isinstance(value, list):
                value[:] = [_concat_filter(item) if isinstance(item, nodes.Concat) else item for item in value]


def _concat_filter(node: nodes.Concat) -> nodes.Filter:
    parts = nodes.List(node.nodes, lineno=node.lineno)
    return nodes.Filter(parts, "_concat", [], [], None, None, lineno=node.lineno)


def _check_repetition(value: Any, times: Any) -> None:
    if isinstance(value, str | list | tuple) and isinstance(times, int) and len(value) * times > MAX_BYTES:
        raise BoundExceeded(TOO_LARGE)


def _bounded(filter: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter)  # keeps Jinja's marks such as pass_environment
    def bounded(*args: Any, **kwargs: Any) -> Any:
        RENDERING.get().check_time()
        return check_size(filter(*args, **kwargs))

    return bounded


def _loop(values: Iterable[Any]) -> Iterator[Any]:
    rendering = RENDERING.get()
    for value in values:
        rendering.check_time()
        yield value


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_BYTES:
        raise BoundExceeded("counts too far with range()")
    return numbers


def _concat(parts: Sequence[Any]) -> str:
    return _join(parts)


def _join(parts: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    """Join texts with a separator; escapes them if one is marked as safe HTML."""
    if attribute is not None:
        parts = [part.get(attribute, "") if isinstance(part, Mapping) else "" for part in parts]
    texts: list[str] = []
    size = 0
    for part in parts:
        text = part if isinstance(part, str) else str(part)
        size += len(text) + len(separator)
        if size > MAX_BYTES:
            raise BoundExceeded(TOO_LARGE)
        texts.append(text)
    if any(isinstance(text, Markup) for text in texts):
        return escape(separator).join(texts)
    return separator.join(texts)


def _replace(text: Any, old: str, new: str) -> str:
    """Replace every occurrence of a text."""
    text = text if isinstance(text, str) else str(text)
    if len(text) + (text.count(old) if old else len(text) + 1) * len(new) > MAX_BYTES:
        raise BoundExceeded(TOO_LARGE)
    replaced: str = text.replace(old, new)
    return replaced
