"""The filters and tests of templates, and bounded versions of those Jinja filters that can take much more time than
their result suggests."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from html import unescape
from typing import Any

from jinja2 import Environment, Undefined, filters, pass_environment, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from markupsafe import Markup, escape

from bellcast.templates.budget import MAX_BYTES, RENDERING, TOO_LARGE, VALUE_SIZE, BoundExceeded, charge, charge_each

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
# Those with a result that has the text of their value.
TEXT_FILTERS = frozenset(
    {"capitalize", "e", "escape", "forceescape", "lower", "replace", "safe", "string", "striptags", "title", "trim"}
    | {"truncate", "upper", "urlencode", "wordcount", "date", "time", "datetime", "number", "money", "link"}
)
SCALARS = (str, int, float, type(None), Undefined)
# Those with arguments that may be any value, because they only return them: a list that `map` makes, for example.
DEFAULTS = frozenset({"d", "default"})
NOT_JSON = "uses a value that is not text, a number, a list or an object: use a filter such as list"


def check_json(value: Any) -> Any:
    """Return a value of which a text or the message of an error is made. Raises BoundExceeded for one that is not JSON, such as a generator or a function,
    with a text that contains an address of the process."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, list | tuple):
            parts += part
        elif isinstance(part, dict):
            parts += [*part, *part.values()]
        elif not isinstance(part, SCALARS):
            raise BoundExceeded(NOT_JSON)
    return value


def bounded(filter: Callable[..., Any], *, has_text: bool = False, takes_any: bool = False) -> Callable[..., Any]:
    """Wrap a filter or test so that its arguments and its result are charged. Its arguments must be JSON unless it
    `takes_any`, and its value too if the result has its text. A range is a list of numbers."""

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
        result = filter(*args, **kwargs)
        return charge_each(result) if isinstance(result, Iterator) else rendering.charge(result)

    return charged


def bounded_range(*bounds: int) -> range:
    """`range`, limited to the maximum number of elements of a value."""
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
        text = part if isinstance(part, str) else str(charge(check_json(part)))
        size += len(text) + len(separator)
        if size > MAX_BYTES:
            raise BoundExceeded(TOO_LARGE)
        texts.append(text)
    if any(isinstance(text, Markup) for text in texts):
        return escape(separator).join(texts)
    return separator.join(texts)


def concatenate(pieces: Iterable[str]) -> str:
    """Join pieces of output that are already escaped."""
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
    # Jinja's filter multiplies the value, which may be a text, by 10**precision.
    if not isinstance(value, int | float) or not isinstance(precision, int) or abs(precision) > MAX_PRECISION:
        raise BoundExceeded(f"rounds a value that is not a number, or to more than {MAX_PRECISION} digits")
    return filters.do_round(value, precision, method)


@pass_environment
def _sum(environment: Environment, values: Iterable[Any], attribute: str | None = None, start: float = 0) -> Any:
    # Adding n lists takes n² time.
    if not isinstance(start, int | float):
        raise BoundExceeded("sums values that are not numbers")
    return filters.sync_do_sum(environment, values, attribute, start)


@pass_eval_context
def _tojson(context: Any, value: Any, indent: int | None = None) -> str:
    if indent is not None and (not isinstance(indent, int) or indent > MAX_INDENT):
        raise BoundExceeded(f"indents by a value that is not a number of at most {MAX_INDENT} spaces")
    return filters.do_tojson(context, value, indent)


def _trim(value: str, chars: str | None = None) -> str:
    if chars is not None and len(chars) > MAX_TRIMMED_CHARACTERS:
        raise BoundExceeded(f"trims more than {MAX_TRIMMED_CHARACTERS} different characters")
    return filters.do_trim(value, chars)


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
