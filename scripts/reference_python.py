"""Generates the reference of the Python client from its signatures and docstrings."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from bellcast.client import AsyncBellcast, Bellcast, Credentials, Retries, arguments, errors, responses
from bellcast.client.api import InboxApi, Method, ServerApi, Surface

INTRODUCTION = """\
# Python client

This page is generated from the code by `make docs`; change the docstrings there.

```python
from bellcast import AsyncBellcast, Bellcast
from bellcast.client import errors
```

`Bellcast` blocks, `AsyncBellcast` is awaited; they have the same methods. Ids and texts may be `str`, `int` or
`uuid.UUID`; subclasses of `str` (Django's `SafeString`) and lazy strings (`gettext_lazy`) become plain text. Durations
are seconds, texts such as `"2h"`, or a `timedelta`. A wrong argument raises `InvalidArgument`, which names it, before
anything is sent.

The types of the results are in `bellcast.client.responses`. A response of a newer or older server is returned too: a state
that this version does not know stays text, and a missing field has its default, else None, or an empty list or dict.

A mounted app has both clients, without HTTP: [`app.client` and `app.sync_client`](../howto/mount.md).
"""
RESULTS = (
    responses.Sent,
    responses.BulkResult,
    responses.Notification,
    responses.InboxPage,
    responses.Counts,
    responses.Changed,
    responses.Recipient,
    responses.SessionToken,
)


def page() -> str:
    """Return the page: classes, methods, results and errors."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for kind in (Bellcast, AsyncBellcast, Credentials, Retries):
        yield _section("##", kind.__name__, kind, inspect.getdoc(kind))
    for title, kind in (("Methods", ServerApi), ("bell.inbox(token)", InboxApi), *_properties()):
        yield f"## {title}\n\n{inspect.getdoc(kind)}\n"
        for name, method in vars(kind).items():
            if isinstance(method, Method):
                yield _section("###", name, method.build, inspect.getdoc(method.build))
            elif isinstance(method, property) and method.__doc__:
                yield f"### {name}\n\n{method.__doc__}\n"
    yield "## Results\n"
    for kind in RESULTS:
        yield _result(kind)
    yield "## Errors\n\nImport them from `bellcast.client.errors` or `bellcast.client`.\n"
    yield _errors()


def _properties() -> Iterator[tuple[str, type]]:
    """Yield the attributes of a client that group further methods, such as `bell.recipients`, with their classes."""
    for name, value in vars(Bellcast("http://localhost", "secret")).items():
        if isinstance(value, Surface):
            yield f"bell.{name}", type(value)


def _section(level: str, name: str, called: Any, text: str | None) -> str:
    parts = [f"{level} {name}", f"```python\n{_signature(name, called)}\n```", _paragraphs(text or "")]
    for one in inspect.signature(called).parameters.values():
        if one.kind is one.VAR_KEYWORD:
            parts.append(_fields(get_args(one.annotation)[0]))
    return "\n\n".join(parts) + "\n"


def _fields(kind: Any) -> str:
    """Return a table of the keyword arguments in a TypedDict."""
    rows = [f"| `{name}` | `{_type(hint).replace('|', BAR)}` |" for name, hint in get_type_hints(kind).items()]
    return "\n".join([f"`{kind.__name__}` is:", "", "| Argument | Type |", "|---|---|", *rows])


def _signature(name: str, called: Any) -> str:
    parameters = [_parameter(one) for one in inspect.signature(called).parameters.values()]
    kinds = [one.kind for one in inspect.signature(called).parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = get_args(inspect.signature(called).return_annotation)
    result = f" -> {_type(returned[-1])}" if returned else ""
    line = f"{name}({', '.join(parameters)}){result}"
    return line if len(line) <= 100 else f"{name}(\n    " + ",\n    ".join(parameters) + f",\n){result}"


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    kind = get_args(one.annotation)[0].__name__ if one.kind is one.VAR_KEYWORD else _type(one.annotation)
    default = "" if one.default is one.empty or callable(one.default) else f" = {one.default!r}"
    return f"{stars}{one.name}: {kind}{default}"


def _type(annotation: Any) -> str:
    text = inspect.formatannotation(annotation)
    for long, short in NAMES.items():
        text = text.replace(long, short)
    return text


BAR = "\\|"  # within a table cell
NAMES = {
    inspect.formatannotation(arguments.Duration): "Duration",
    inspect.formatannotation(arguments.Text): "Text",
    "collections.abc.": "",
    "typing.": "",
    "bellcast.client.arguments.": "",
    "bellcast.client.notifications.": "",
    "bellcast.client.responses.": "",
    "bellcast.channels.types.": "",
    "bellcast.topics.types.": "",
    "bellcast.workflows.types.": "",
    "<class 'NoneType'>": "None",
    "NoneType": "None",
    "datetime.datetime": "datetime",
    "datetime.timedelta": "timedelta",
    "bellcast.client.recipients.": "",
    "bellcast.client.topics.": "",
    "bellcast.client.credentials.": "",
    "bellcast.client.request.": "",
    "httpx._transports.base.": "httpx.",
    "str | int | uuid.UUID": "Text",
    "str | int | UUID": "Text",
}


def _paragraphs(text: str) -> str:
    """Convert a docstring to Markdown, with examples as code."""
    blocks = []
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith(">>> "):
            code = "\n".join(line.removeprefix(">>> ").removeprefix("... ") for line in lines)
            block = f"```python\n{code}\n```"
        blocks.append(block)
    return "\n\n".join(blocks)


def _result(kind: type) -> str:
    fields = getattr(kind, "__struct_fields__", ())
    listed = f"\nFields: {', '.join(f'`{field}`' for field in fields)}.\n" if fields else ""
    more = [f"`{name}`" for name, value in vars(kind).items() if isinstance(value, property)]
    also = f"\nProperties: {', '.join(more)}.\n" if more else ""
    return f"### {kind.__name__}\n\n{inspect.getdoc(kind)}\n{listed}{also}"


def _errors() -> str:
    rows = ["| Error | Raised when | Base class |", "|---|---|---|"]
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.BellcastError):
            parents = ", ".join(f"`{parent.__name__}`" for parent in kind.__bases__)
            text = " ".join((inspect.getdoc(kind) or "").split())
            rows.append(f"| `{name}` | {text} | {parents} |")
    return "\n".join(rows) + "\n"
