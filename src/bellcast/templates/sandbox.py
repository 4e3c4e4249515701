"""A Jinja2 environment for templates from the API: data in, text out, within bounds of time and size.

Templates see JSON values only. `a.items` is the key `items` of `a`; values have no methods and no Python attributes
that could lead out of the sandbox. A template can also consume time and memory without writing anything, so a rendering
has a budget: every loop, call, filter, test, comparison, literal and operation is charged for the sizes of the values that it
takes and makes, nested ones included. No value may be larger than MAX_BYTES, so each step between two charges is short.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from bellcast.templates import budget, filters

# Maximum names, values and operators of one text. A page has some hundreds; compiling takes 25 µs for each.
MAX_TOKENS = 5_000

# Filters that the environment adds. A template cannot use them: their names are no identifiers.
LOOP, CHARGE = "loop values", "charge value"

# Tags that load other templates. There is no loader; refusing them by name gives a clearer message.
REFUSED_TAGS = {nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from", nodes.Extends: "extends"}


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
        rendering, name = budget.RENDERING.get(), str(self._undefined_name)
        is_key = self._undefined_obj is not missing
        path = rendering.path_of(self._undefined_obj, name) if is_key else name[: budget.MAX_PATH]
        if len(rendering.missing) < budget.MAX_MISSING:
            rendering.missing[path] = None
        return path

    def __str__(self) -> str:
        path = self._record()
        if budget.RENDERING.get().is_strict:
            raise MissingVariable(path)
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
        # Constant folding takes cubic time: a second for a chain of 170 filters.
        super().__init__(
            autoescape=autoescape,
            optimized=False,
            undefined=Missing,
            finalize=_finalize,
            auto_reload=False,
            cache_size=0,
        )
        known = {name: self.filters[name] for name in filters.PLAIN_FILTERS}
        known |= filters.OWN_FILTERS | dict(own)
        self.filters = {
            name: filters.bounded(filter, has_text=name in filters.TEXT_FILTERS, takes_any=name in filters.DEFAULTS)
            for name, filter in known.items()
        }
        self.filters |= {LOOP: budget.charge_each, CHARGE: budget.charge}
        tests: dict[str, Any] = self.tests
        self.tests = {name: filters.bounded(test) for name, test in tests.items()}
        self.globals = {"range": filters.bounded_range}
        # Used by blocks, macros and `{% filter %}` to join their pieces.
        self.concat: Any = filters.concatenate

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: a key of a mapping, or an attribute of `loop` and `caller`."""
        if isinstance(obj, LoopContext | Macro):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a["b"]`, `a[0]`."""
        rendering = budget.RENDERING.get()
        rendering.charge()
        if not isinstance(argument, str):  # nearly all are names
            filters.check_json(argument)
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
        """Charge a call. Every call in a template passes through here."""
        rendering = budget.RENDERING.get()
        rendering.charge([*args, *kwargs.values()])
        if isinstance(obj, LoopContext) and args:  # the next level of a recursive loop
            args = (budget.charge_each(args[0]), *args[1:])
        return rendering.charge(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Charge an operation. Every binary operation passes through here."""
        rendering = budget.RENDERING.get()
        rendering.charge(left)
        rendering.charge(right)
        if operator == "%" and isinstance(left, str):
            raise budget.BoundExceeded("uses % on a text: use filters")
        if operator == "**" and abs(right) > 64:
            raise budget.BoundExceeded("computes a number that is too large")
        if operator == "*":
            _check_repetition(left, right)
            _check_repetition(right, left)
        return rendering.charge(super().call_binop(context, operator, left, right))

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        """`-a` and `+a`."""
        rendering = budget.RENDERING.get()
        return rendering.charge(super().call_unop(context, operator, rendering.charge(arg)))

    def _tokenize(self, source: str, name: Any, filename: Any = None, state: Any = None) -> TokenStream:
        return TokenStream(_limited(super()._tokenize(source, name, filename, state)), name, filename)

    def _generate(self, source: nodes.Template, name: Any, filename: Any, defer_init: bool = False) -> str:  # noqa: FBT001, FBT002  as the base class has it
        # The names of filters and tests: inside an `if`, Jinja only looks them up when it renders, too late for the author.
        for named, known in ((nodes.Filter, self.filters), (nodes.Test, self.tests)):
            for use in source.find_all(named):
                if use.name not in known:
                    label = "filter" if named is nodes.Filter else "test"
                    raise jinja2.TemplateSyntaxError(f"there is no {label} named {use.name[:50]!r}", use.lineno)
        for kind, tag in REFUSED_TAGS.items():
            for node in source.find_all(kind):
                raise jinja2.TemplateSyntaxError(f"{{% {tag} %}} is not available here", node.lineno)
        for number in source.find_all(nodes.Const):
            if isinstance(number.value, int) and abs(number.value) > budget.MAX_INTEGER:
                raise jinja2.TemplateSyntaxError("has a number that is too large", number.lineno)
        Guard().visit(source)
        return super()._generate(source, name, filename, defer_init)


def _finalize(value: Any) -> Any:
    """Charge a value before it is output. Jinja also calls this for constants when it compiles a template."""
    rendering = budget.RENDERING.get(None)
    if rendering is not None:
        rendering.charge(value)
    if not isinstance(value, str):  # nearly all values are text
        filters.check_json(value)
    return "" if value is None else value


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
    if (
        isinstance(value, str | list | tuple)
        and isinstance(times, int)
        and budget.size_of(value) * times > budget.MAX_BYTES
    ):
        raise budget.BoundExceeded(budget.TOO_LARGE)
