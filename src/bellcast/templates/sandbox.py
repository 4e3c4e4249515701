"""A Jinja2 environment for templates from the API: data in, text out, within bounds of time and size.

Templates see JSON values only. `a.items` is the key `items` of `a`; values have no methods and no Python attributes
that could lead out of the sandbox. A template can also consume time and memory without writing anything, so a rendering
has a budget: every loop, call, filter, test, comparison, literal and operation is charged for the sizes of the values that it
takes and makes, nested ones included. No value may be larger than MAX_BYTES, so each step between two charges is short.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from html import unescape
from io import StringIO
from typing import Any, NoReturn

import jinja2
from jinja2 import Undefined, nodes, pass_environment, pass_eval_context
from jinja2 import filters as jinja_filters
from jinja2.compiler import CodeGenerator, Frame
from jinja2.idtracking import VAR_LOAD_RESOLVE
from jinja2.lexer import Token, TokenStream
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from bellcast.templates import budget
from bellcast.templates.budget import MAX_BYTES, RENDERING, TOO_LARGE, VALUE_SIZE, TemplateError, charge, charge_each

# Maximum names, values and operators of one text. A page has some hundreds; compiling takes 25 µs for each.
MAX_TOKENS = 5_000

# Filters that the environment adds. A template cannot use them: their names are no identifiers.
LOOP, CHARGE = "loop values", "charge value"

# Tags that load other templates. There is no loader; refusing them by name gives a clearer message.
REFUSED_TAGS = {nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from", nodes.Extends: "extends"}


class Missing(jinja2.Undefined):
    """A name without a value. It is false, and `default()` replaces it; any other use raises TemplateError, or is
    recorded and empty in a preview."""

    __slots__ = ()

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TemplateError("has no value", variable=self._record())

    def _record(self) -> str:
        rendering, name = RENDERING.get(), str(self._undefined_name)
        is_key = self._undefined_obj is not missing
        path = rendering.path_of(self._undefined_obj, name) if is_key else name[: budget.MAX_PATH]
        if len(rendering.missing) < budget.MAX_MISSING:
            rendering.missing[path] = None
        return path

    def __str__(self) -> str:
        path = self._record()
        if RENDERING.get().is_strict:
            raise TemplateError("has no value", variable=path)
        return ""

    def __iter__(self) -> Iterator[Any]:
        return iter(str(self))

    def __len__(self) -> int:
        return len(str(self))

    def __repr__(self) -> str:
        return str(self)

    # Jinja binds these names to its own method when it creates the class.
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _fail_with_undefined_error
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _fail_with_undefined_error
    __pow__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pos__ = _fail_with_undefined_error
    __int__ = __float__ = __call__ = __getitem__ = _fail_with_undefined_error


class Environment(SandboxedEnvironment):
    """Jinja2 on JSON values."""

    intercepted_binops = frozenset({"+", "-", "*", "**", "%", "//", "/"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, own: Mapping[str, Callable[..., Any]], *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=Missing, finalize=_finalize, auto_reload=False, cache_size=0)
        known = {name: self.filters[name] for name in PLAIN_FILTERS}
        known |= OWN_FILTERS | dict(own)
        self.filters = {
            name: bounded(
                filter, has_text=name in TEXT_FILTERS, takes_any=name in DEFAULTS, keeps_missing=name in FORMATS
            )
            for name, filter in known.items()
        }
        self.filters |= {LOOP: charge_each, CHARGE: charge}
        tests: dict[str, Any] = self.tests
        self.tests = {name: bounded(test) for name, test in tests.items()}
        self.globals = {"range": bounded_range}
        # Used by blocks, macros and `{% filter %}` to join their pieces.
        self.concat: Any = concatenate

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: a key of a mapping, or an attribute of `loop` and `caller`."""
        if isinstance(obj, LoopContext | Macro):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a["b"]`, `a[0]`."""
        rendering = RENDERING.get()
        rendering.charge()
        if not isinstance(argument, str):  # nearly all are names
            check_json(argument)
        if isinstance(obj, Mapping):
            if argument in obj:
                if (found := obj[argument]) is None:
                    rendering.null = obj, argument, rendering.work
                return found
        elif isinstance(obj, str | Sequence) and not isinstance(argument, str):
            try:
                return obj[argument]
            except (IndexError, TypeError):
                pass
        elif isinstance(obj, Missing):
            return obj
        owner, key, work = rendering.null
        # `b` of `data.a.b`, if nothing was charged since the null was found.
        is_below_null = obj is None and work + VALUE_SIZE == rendering.work
        name = str(rendering.charge(argument))
        return Missing(obj=owner, name=f"{key}.{name}") if is_below_null else Missing(obj=obj, name=name)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Charge a call. Every call in a template passes through here."""
        rendering = RENDERING.get()
        rendering.charge([*args, *kwargs.values()])
        if isinstance(obj, LoopContext) and args:  # the next level of a recursive loop
            args = (charge_each(args[0]), *args[1:])
        return rendering.charge(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Charge an operation. Every binary operation passes through here."""
        rendering = RENDERING.get()
        rendering.charge(left)
        rendering.charge(right)
        if operator == "%" and isinstance(left, str):
            raise TemplateError("uses % on a text: use filters")
        if operator == "**" and abs(right) > 64:
            raise TemplateError("computes a number that is too large")
        if operator == "*":
            _check_repetition(left, right)
            _check_repetition(right, left)
        return rendering.charge(super().call_binop(context, operator, left, right))

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        """`-a` and `+a`."""
        rendering = RENDERING.get()
        return rendering.charge(super().call_unop(context, operator, rendering.charge(arg)))

    def _tokenize(self, source: str, name: Any, filename: Any = None, state: Any = None) -> TokenStream:
        tokens = super()._tokenize(source, name, filename, state)

        def limited() -> Iterator[Token]:
            for count, token in enumerate(tokens):
                if count >= MAX_TOKENS:
                    problem = f"has more than {MAX_TOKENS} names, values and operators"
                    raise jinja2.TemplateSyntaxError(problem, token.lineno)
                yield token

        return TokenStream(limited(), name, filename)

    def compiled(self, source: str) -> tuple[jinja2.Template, frozenset[str]]:
        """Return a text as a template, and the variables that it reads."""
        tree = self.parse(source)
        # The names of filters and tests: inside an `if`, Jinja only looks them up when it renders, too late for the author.
        for named, known in ((nodes.Filter, self.filters), (nodes.Test, self.tests)):
            for use in tree.find_all(named):
                if use.name not in known:
                    label = "filter" if named is nodes.Filter else "test"
                    raise jinja2.TemplateSyntaxError(f"there is no {label} named {use.name[:50]!r}", use.lineno)
        for kind, tag in REFUSED_TAGS.items():
            for node in tree.find_all(kind):
                raise jinja2.TemplateSyntaxError(f"{{% {tag} %}} is not available here", node.lineno)
        for number in tree.find_all(nodes.Const):
            if isinstance(number.value, int) and abs(number.value) > budget.MAX_INTEGER:
                raise jinja2.TemplateSyntaxError("has a number that is too large", number.lineno)
        Guard().visit(tree)
        generator = Generator(self)
        generator.visit(tree)
        code = compile(generator.code.getvalue(), "<template>", "exec")
        template = self.template_class.from_code(self, code, self.make_globals(None))
        return template, frozenset(generator.variables - self.globals.keys())

    def _generate(self, *_arguments: Any, **_options: Any) -> str:
        raise RuntimeError("Jinja's own methods, such as from_string, neither check nor guard a text: use compiled")


class Generator(CodeGenerator):
    """Writes the code of a text, and collects the variables that the text reads (as `jinja2.meta`, which writes no code)."""

    def __init__(self, environment: Environment) -> None:
        self.code = StringIO()
        # Constant folding takes cubic time: a second for a chain of 170 filters.
        super().__init__(environment, None, None, self.code, optimized=False)
        self.variables: set[str] = set()

    def enter_frame(self, frame: Frame) -> None:
        super().enter_frame(frame)
        resolved = (name for action, name in frame.symbols.loads.values() if action == VAR_LOAD_RESOLVE)
        self.variables.update(filter(None, resolved))


def _finalize(value: Any) -> Any:
    """Charge a value before it is output. Jinja also calls this for constants when it compiles a template."""
    rendering = RENDERING.get(None)
    if rendering is not None:
        rendering.charge(value)
    if not isinstance(value, str):  # nearly all values are text
        check_json(value)
    return "" if value is None else value


class Guard(NodeTransformer):
    """Routes loops, comparisons, literals and `~` through filters that charge for them."""

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the node that replaces this one."""
        self.generic_visit(node, *args, **kwargs)
        match node:
            case nodes.For():
                node.iter = _filtered(node.iter, LOOP)
            case nodes.Compare():
                node.expr = _filtered(node.expr, CHARGE)
                for operand in node.ops:
                    operand.expr = _filtered(operand.expr, CHARGE)
            case nodes.Concat():
                return _filtered(nodes.List(node.nodes, lineno=node.lineno), "join")
            case nodes.List() | nodes.Dict():
                return _filtered(node, CHARGE)
            case nodes.Tuple() if node.ctx == "load":
                return _filtered(node, CHARGE)
            case nodes.Getitem() if isinstance(node.arg, nodes.Slice):  # bypasses Environment.getitem
                return _filtered(node, CHARGE)
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _check_repetition(value: Any, times: Any) -> None:
    if isinstance(value, str | list | tuple) and isinstance(times, int) and budget.size_of(value) * times > MAX_BYTES:
        raise TemplateError(TOO_LARGE)


# --- filters and tests, and bounded versions of those of Jinja that can take much more time than their result suggests


# Maximum precision: a float has 17 digits.
MAX_PRECISION = 20
MAX_INDENT = 8
# Limited, because each character of the text is compared with each of these.
MAX_TRIMMED_CHARACTERS = 100

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
# Those of `formats` with a missing value as the result for one.
FORMATS = frozenset({"date", "time", "datetime", "number", "money", "link"})
# Those with a result that has the text of their value.
TEXT_FILTERS = FORMATS | {
    "capitalize",
    "e",
    "escape",
    "forceescape",
    "lower",
    "replace",
    "safe",
    "string",
    "striptags",
    "title",
    "trim",
    "truncate",
    "upper",
    "urlencode",
    "wordcount",
}
SCALARS = (str, int, float, type(None), Undefined)
# Those with arguments that may be any value, because they only return them: a list that `map` makes, for example.
DEFAULTS = frozenset({"d", "default"})
NOT_JSON = "uses a value that is not text, a number, a list or an object: use a filter such as list"


def check_json(value: Any) -> Any:
    """Return a value of which a text or the message of an error is made. Raises TemplateError for one that is not JSON, such as a generator or a function,
    with a text that contains an address of the process."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, list | tuple):
            parts += part
        elif isinstance(part, dict):
            parts += [*part, *part.values()]
        elif not isinstance(part, SCALARS):
            raise TemplateError(NOT_JSON)
    return value


def bounded(
    filter: Callable[..., Any], *, has_text: bool = False, takes_any: bool = False, keeps_missing: bool = False
) -> Callable[..., Any]:
    """Wrap a filter or test so that its arguments and its result are charged. Its arguments must be JSON unless it
    `takes_any`, and its value too if the result has its text. With `keeps_missing`, a missing value is the result. A
    range is a list of numbers."""

    @wraps(filter)  # keeps Jinja's marks such as pass_environment
    def charged(*args: Any, **kwargs: Any) -> Any:
        rendering = RENDERING.get()
        rendering.charge([*args, *kwargs.values()])
        # Without what Jinja passes before the value.
        value, *arguments = args[1:] if isinstance(args[0], Environment | EvalContext | Context) else args
        arguments += kwargs.values()
        if arguments and not takes_any:
            check_json([one for one in arguments if not isinstance(one, range)])
        if has_text and not isinstance(value, str):
            check_json(value)
        result = value if keeps_missing and isinstance(value, Missing) else filter(*args, **kwargs)
        return charge_each(result) if isinstance(result, Iterator) else rendering.charge(result)

    return charged


def bounded_range(*bounds: int) -> range:
    """`range`, limited to the maximum number of elements of a value."""
    numbers = range(*bounds)
    if len(numbers) > MAX_BYTES // VALUE_SIZE:
        raise TemplateError("counts too far with range()")
    return numbers


def _join(parts: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    """Join texts with a separator; escapes them if one is marked as safe HTML."""
    if attribute is not None:
        parts = [part.get(attribute, "") if isinstance(part, Mapping) else "" for part in parts]
    texts: list[str] = []
    size = 0
    for part in parts:
        text = part if isinstance(part, str) else str(charge(check_json(part)))
        size += len(text) + len(separator)
        if size > MAX_BYTES:
            raise TemplateError(TOO_LARGE)
        texts.append(text)
    if any(isinstance(text, Markup) for text in texts):
        return escape(separator).join(texts)
    return separator.join(texts)


def concatenate(pieces: Iterable[str]) -> str:
    """Join pieces of output that are already escaped."""
    pieces = list(pieces)
    if sum(map(len, pieces)) > MAX_BYTES:
        raise TemplateError(TOO_LARGE)
    text: str = RENDERING.get().charge("".join(pieces))
    return text


def _replace(text: Any, old: str, new: str) -> str:
    """Replace every occurrence of a text."""
    text = text if isinstance(text, str) else str(text)
    if len(text) + (text.count(old) if old else len(text) + 1) * len(new) > MAX_BYTES:
        raise TemplateError(TOO_LARGE)
    replaced: str = text.replace(old, new)
    return replaced


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    # Jinja's filter multiplies the value, which may be a text, by 10**precision.
    if not isinstance(value, int | float) or not isinstance(precision, int) or abs(precision) > MAX_PRECISION:
        raise TemplateError(f"rounds a value that is not a number, or to more than {MAX_PRECISION} digits")
    return jinja_filters.do_round(value, precision, method)


@pass_environment
def _sum(environment: Environment, values: Iterable[Any], attribute: str | None = None, start: float = 0) -> Any:
    # Adding n lists takes n² time.
    if not isinstance(start, int | float):
        raise TemplateError("sums values that are not numbers")
    return jinja_filters.sync_do_sum(environment, values, attribute, start)


@pass_eval_context
def _tojson(context: Any, value: Any, indent: int | None = None) -> str:
    if indent is not None and (not isinstance(indent, int) or indent > MAX_INDENT):
        raise TemplateError(f"indents by a value that is not a number of at most {MAX_INDENT} spaces")
    return jinja_filters.do_tojson(context, value, indent)


def _trim(value: str, chars: str | None = None) -> str:
    if chars is not None and len(chars) > MAX_TRIMMED_CHARACTERS:
        raise TemplateError(f"trims more than {MAX_TRIMMED_CHARACTERS} different characters")
    return jinja_filters.do_trim(value, chars)


def _striptags(value: Any) -> str:
    # Jinja's filter takes quadratic time.
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
