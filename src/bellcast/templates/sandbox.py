"""A Jinja2 environment for templates from the API: data in, text out, within bounds of time and size.

Templates see JSON values only. `a.items` is the key `items` of `a`; values have no methods and no Python attributes
that could lead out of the sandbox. A template can also consume time and memory without writing anything, so a rendering
has a budget: every loop, call, filter, test, comparison, literal and operation is charged for the sizes of the values that it
takes and makes, nested ones included. No value may be larger than MAX_BYTES, so each step between two charges is short.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from html import unescape
from time import monotonic, thread_time
from typing import Any, NoReturn

import jinja2
from jinja2 import filters, nodes, pass_environment, pass_eval_context
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

# A template of a page of text renders in well under a millisecond.
MAX_SECONDS = 0.25  # of CPU time: a process that waits for a processor must not fail a message
# Gmail clips a message at 102 KiB; providers refuse far smaller texts than this.
MAX_BYTES = 512 * 1024
TOO_SLOW = f"takes longer than {MAX_SECONDS} s"
TOO_LARGE = f"renders more than {MAX_BYTES // 1024} KiB"
TOO_MUCH_WORK = "handles more data than a template may"
# Every JSON value has a bounded form except whole numbers: 10**10**10 would take minutes.
MAX_INTEGER = 2**64
# Sizes that the steps of one rendering may add up to: the largest text passes through 16 steps. It bounds the memory too.
MAX_WORK = 16 * MAX_BYTES
# The size of a value without its text. A value takes 8 to 56 bytes.
VALUE_SIZE = 16
# A float has 17 digits.
MAX_PRECISION = 20
MAX_INDENT = 8
# Each character of a text is compared with each of these.
MAX_TRIMMED_CHARACTERS = 100
# Variables without a value that a preview lists, and the characters of their paths.
MAX_MISSING = 100
MAX_PATH = 200
# Names, values and operators of one text. A page has some hundreds; compiling takes 25 µs for each.
MAX_TOKENS = 5_000

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
    "safe",
    "select",
    "selectattr",
    "sort",
    "string",
    "title",
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
        self._began = thread_time()
        self._deadline = monotonic() + MAX_SECONDS
        self._work = 0

    def charge(self, value: Any = None) -> Any:
        """Charge the size of a value, and return it. Raises BoundExceeded if the value is too large, the budget is spent or the
        time is over."""
        self._work += size_of(value)
        if self._work > MAX_WORK:
            raise BoundExceeded(TOO_MUCH_WORK)
        if monotonic() > self._deadline:  # read in a tenth of the time of `thread_time`
            self._check_time()
        return value

    def _check_time(self) -> None:
        left = self._began + MAX_SECONDS - thread_time()
        if left <= 0:
            raise BoundExceeded(TOO_SLOW)
        self._deadline = monotonic() + left

    def add_missing(self, path: str) -> None:
        """Record a variable without a value."""
        if len(self.missing) < MAX_MISSING:
            self.missing[path] = None

    def path_of(self, value: object, name: str) -> str:
        """The path of the missing key `name` of `value`, as the template's author writes it."""
        for path, item in _walk(self.variables):
            if item is value:
                return f"{path}.{name}"[:MAX_PATH]
            self.charge()
        return name[:MAX_PATH]


RENDERING: ContextVar[Rendering] = ContextVar("rendering")


def _walk(variables: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    queue: deque[tuple[str, object]] = deque(variables.items())
    while queue:
        path, item = queue.popleft()
        yield path, item
        if isinstance(item, Mapping):
            queue += [(f"{path}.{name}", inner) for name, inner in item.items()]
        elif isinstance(item, list | tuple):
            queue += [(f"{path}.{number}", inner) for number, inner in enumerate(item)]


def size_of(value: Any) -> int:
    """The size of a value when it is written: a list with the same large text twice has twice its size. Raises BoundExceeded
    above MAX_BYTES."""
    if value is None:
        return VALUE_SIZE
    size = 0
    parts = [value]
    while parts:
        part = parts.pop()
        size += VALUE_SIZE
        if isinstance(part, str):
            size += len(part)
        elif isinstance(part, int):
            if abs(part) > MAX_INTEGER:
                raise BoundExceeded("computes a number that is too large")
        elif isinstance(part, list | tuple | dict):
            if size + VALUE_SIZE * len(part) > MAX_BYTES:
                raise BoundExceeded(TOO_LARGE)
            parts += part
            if isinstance(part, dict):
                parts += part.values()
        if size > MAX_BYTES:
            raise BoundExceeded(TOO_LARGE)
    return size


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
        rendering, name = RENDERING.get(), str(self._undefined_name)
        is_key = self._undefined_obj is not missing
        path = rendering.path_of(self._undefined_obj, name) if is_key else name[:MAX_PATH]
        rendering.add_missing(path)
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

    intercepted_binops = frozenset({"+", "-", "*", "**", "%", "//", "/"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, filters: Mapping[str, Callable[..., Any]], *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=Missing, finalize=_finalize, auto_reload=False, cache_size=0)
        known = {name: self.filters[name] for name in PLAIN_FILTERS}
        self.filters = {name: _bounded(filter) for name, filter in (known | OWN_FILTERS | dict(filters)).items()}
        self.filters |= {"_loop": _loop, "_charge": _charge}
        tests: dict[str, Any] = self.tests
        self.tests = {name: _bounded(tests[name]) for name in TESTS}
        self.globals = {"range": _range}
        # Blocks, macros and `{% filter %}` collect pieces and join them with this.
        self.concat: Any = _concatenate

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: a key of a mapping, or an attribute of `loop` and `caller`."""
        if isinstance(obj, LoopContext | Macro):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a["b"]`, `a[0]`."""
        rendering = RENDERING.get()
        rendering.charge()
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
        return Missing(obj=obj, name=str(rendering.charge(argument)))

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Every call in a template passes here."""
        rendering = RENDERING.get()
        rendering.charge([*args, *kwargs.values()])
        if isinstance(obj, LoopContext) and args:  # the next level of a recursive loop
            args = (_loop(args[0]), *args[1:])
        return rendering.charge(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Every operation passes here."""
        rendering = RENDERING.get()
        rendering.charge(left)
        rendering.charge(right)
        if operator == "%" and isinstance(left, str):
            raise BoundExceeded("uses % on a text: use filters")
        if operator == "**" and abs(right) > 64:
            raise BoundExceeded("computes a number that is too large")
        if operator == "*":
            _check_repetition(left, right)
            _check_repetition(right, left)
        return rendering.charge(super().call_binop(context, operator, left, right))

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        """`-a` and `+a`."""
        rendering = RENDERING.get()
        return rendering.charge(super().call_unop(context, operator, rendering.charge(arg)))

    def _tokenize(self, source: str, name: Any, filename: Any = None, state: Any = None) -> TokenStream:
        return TokenStream(_limited(super()._tokenize(source, name, filename, state)), name, filename)

    def _generate(self, source: nodes.Template, name: Any, filename: Any, defer_init: bool = False) -> str:  # noqa: FBT001, FBT002  as the base class has it
        self._check_names(source)
        _check_tree(source)
        Guard().visit(source)
        return super()._generate(source, name, filename, defer_init)

    def _check_names(self, tree: nodes.Template) -> None:
        """Jinja looks up filters and tests inside an `if` when it renders it, which is too late for the author."""
        for kind, known in ((nodes.Filter, self.filters), (nodes.Test, self.tests)):
            for node in tree.find_all(kind):
                if node.name not in known:
                    label = "filter" if kind is nodes.Filter else "test"
                    raise jinja2.TemplateSyntaxError(f"there is no {label} named {node.name[:50]!r}", node.lineno)


def _finalize(value: Any) -> Any:
    """Charge a value before it is written. Jinja also calls this for constants, when it compiles a template."""
    rendering = RENDERING.get(None)
    if rendering is not None:
        rendering.charge(value)
    return "" if value is None else value


def _check_tree(tree: nodes.Template) -> None:
    for kind, tag in REFUSED_TAGS.items():
        for node in tree.find_all(kind):
            raise jinja2.TemplateSyntaxError(f"{{% {tag} %}} is not available here", node.lineno)
    for number in tree.find_all(nodes.Const):
        if isinstance(number.value, int) and abs(number.value) > MAX_INTEGER:
            raise jinja2.TemplateSyntaxError("has a number that is too large", number.lineno)


def _limited(tokens: Iterable[Token]) -> Iterator[Token]:
    for count, token in enumerate(tokens):
        if count >= MAX_TOKENS:
            raise jinja2.TemplateSyntaxError(f"has more than {MAX_TOKENS} names, values and operators", token.lineno)
        yield token


class Guard(NodeTransformer):
    """Routes loops, comparisons, literals and `~` through filters that charge for them."""

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the node that replaces this one."""
        self.generic_visit(node, *args, **kwargs)
        match node:
            case nodes.For():
                node.iter = _filtered(node.iter, "_loop")
            case nodes.Compare():
                node.expr = _filtered(node.expr, "_charge")
                for operand in node.ops:
                    operand.expr = _filtered(operand.expr, "_charge")
            case nodes.Concat():
                return _filtered(nodes.List(node.nodes, lineno=node.lineno), "join")
            case nodes.List() | nodes.Dict():
                return _filtered(node, "_charge")
            case nodes.Tuple() if node.ctx == "load":
                return _filtered(node, "_charge")
            case nodes.Getitem() if isinstance(node.arg, nodes.Slice):  # bypasses Environment.getitem
                return _filtered(node, "_charge")
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _check_repetition(value: Any, times: Any) -> None:
    if isinstance(value, str | list | tuple) and isinstance(times, int) and size_of(value) * times > MAX_BYTES:
        raise BoundExceeded(TOO_LARGE)


def _bounded(filter: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter)  # keeps Jinja's marks such as pass_environment
    def bounded(*args: Any, **kwargs: Any) -> Any:
        rendering = RENDERING.get()
        rendering.charge([*args, *kwargs.values()])
        result = filter(*args, **kwargs)
        return _loop(result) if isinstance(result, Iterator) else rendering.charge(result)

    return bounded


def _charge(value: Any) -> Any:
    return RENDERING.get().charge(value)


def _loop(values: Iterable[Any]) -> Iterator[Any]:
    """Charge each value. Values that are not used are not made."""
    rendering = RENDERING.get()
    for value in values:
        yield rendering.charge(value)


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_BYTES // VALUE_SIZE:
        raise BoundExceeded("counts too far with range()")
    return numbers


def _join(parts: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    """Join texts with a separator; escapes them if one is marked as safe HTML."""
    if attribute is not None:
        parts = [part.get(attribute, "") if isinstance(part, Mapping) else "" for part in parts]
    texts: list[str] = []
    size = 0
    for part in parts:
        text = part if isinstance(part, str) else str(_charge(part))
        size += len(text) + len(separator)
        if size > MAX_BYTES:
            raise BoundExceeded(TOO_LARGE)
        texts.append(text)
    if any(isinstance(text, Markup) for text in texts):
        return escape(separator).join(texts)
    return separator.join(texts)


def _concatenate(pieces: Iterable[str]) -> str:
    """Join pieces of output, which are escaped already."""
    pieces = list(pieces)
    if sum(map(len, pieces)) > MAX_BYTES:
        raise BoundExceeded(TOO_LARGE)
    text: str = RENDERING.get().charge("".join(pieces))
    return text


def _replace(text: Any, old: str, new: str) -> str:
    """Replace every occurrence of a text."""
    text = text if isinstance(text, str) else str(text)
    if len(text) + (text.count(old) if old else len(text) + 1) * len(new) > MAX_BYTES:
        raise BoundExceeded(TOO_LARGE)
    replaced: str = text.replace(old, new)
    return replaced


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    # The filter of Jinja multiplies the value, which may be a text, by 10**precision.
    if not isinstance(value, int | float) or not isinstance(precision, int) or abs(precision) > MAX_PRECISION:
        raise BoundExceeded(f"rounds something else than a number, or to more than {MAX_PRECISION} digits")
    return filters.do_round(value, precision, method)


@pass_environment
def _sum(environment: Environment, values: Iterable[Any], attribute: str | None = None, start: float = 0) -> Any:
    # Adding up n lists takes n² time.
    if not isinstance(start, int | float):
        raise BoundExceeded("sums something else than numbers")
    return filters.sync_do_sum(environment, values, attribute, start)


@pass_eval_context
def _tojson(context: Any, value: Any, indent: int | None = None) -> str:
    if indent is not None and (not isinstance(indent, int) or indent > MAX_INDENT):
        raise BoundExceeded(f"indents by something else than at most {MAX_INDENT} spaces")
    return filters.do_tojson(context, value, indent)


def _trim(value: str, chars: str | None = None) -> str:
    if chars is not None and len(chars) > MAX_TRIMMED_CHARACTERS:
        raise BoundExceeded(f"trims more than {MAX_TRIMMED_CHARACTERS} different characters")
    return filters.do_trim(value, chars)


def _striptags(value: Any) -> str:
    # The filter of Jinja takes quadratic time.
    text = _without(_without(str(value), "<!--", "-->"), "<", ">")
    return unescape(" ".join(text.split()))


def _without(text: str, start: str, end: str) -> str:
    """Remove every part between these delimiters, and the delimiters."""
    pieces: list[str] = []
    position = 0
    while (first := text.find(start, position)) != -1 and (last := text.find(end, first)) != -1:
        pieces.append(text[position:first])
        position = last + len(end)
    pieces.append(text[position:])
    return "".join(pieces)


OWN_FILTERS: dict[str, Callable[..., Any]] = {
    "join": _join,
    "replace": _replace,
    "round": _round,
    "striptags": _striptags,
    "sum": _sum,
    "tojson": _tojson,
    "trim": _trim,
}
