"""Generates the reference of the elements from the comments of their classes: `@attr`, `@prop`, `@fires` and `@slot`."""

import re

from jsdoc import Comment, before, read

INTRODUCTION = """\
# Elements

This page is generated from the code by `make docs`; change the comments of the classes there.

`/bellcast.js` of your server and the npm package `bellcast` register four elements: [put a bell into a page](../howto/bell.md). Their custom
properties and parts are in [Theme the bell](../howto/theme.md#custom-properties).

An attribute that is marked with * is also a property of the same name: the attribute's text, or null if it is not set; `open` is true or false, and
`tabs` an array of objects. Events bubble out of the element and can be cancelled: then the element does not do the step itself. In React
the attributes, properties and events are [props](typescript.md#bellcastreact).
"""
FOLDER = "bellcast/elements"
ELEMENTS = (
    ("All elements", "Element", "element.js"),
    ("`<bellcast-bell>`", "Bell", "bell.js"),
    ("`<bellcast-inbox>`", "Inbox", "inbox.js"),
    ("`<bellcast-toasts>`", "Toasts", "toasts.js"),
    ("`<bellcast-preferences>`", "Preferences", "preferences.js"),
)
TABLES = (
    ("attr", "Attribute"),
    ("prop", "Property"),
    ("fires", "Event and its `detail`"),
    ("slot", "Slot"),
)
OBSERVED = re.compile(r"(?:observedAttributes|COMMON_ATTRIBUTES) = \[(.*?)\]")
READ = re.compile(r"(?:get|has)Attribute\('([a-z-]+)'\)")
EMITTED = re.compile(r"emitCancelable\(([^,]*),")
REFLECTED = re.compile(r"^reflect\((\w+), \[(.*?)\](?:, \[(.*?)\])?\)", re.MULTILINE)
NAME = re.compile(r"'([a-z-]+)'")


def page() -> str:
    """Return the page: what all elements share, then each element."""
    sources = {name: read(f"{FOLDER}/{file}") for _, name, file in ELEMENTS}
    comments = {name: before(source, source.index(f"export class {name} ")) for name, source in sources.items()}
    _check(sources, comments)
    reflected = _reflected(sources)
    return INTRODUCTION + "".join(_section(title, comments[name], reflected) for title, name, _ in ELEMENTS)


def _section(title: str, comment: Comment, reflected: set[str]) -> str:
    parts = [f"## {title}", *([comment.text] if comment.text else [])]
    parts += ["\n".join(_table(comment, tag, head, reflected)) for tag, head in TABLES if comment.all(tag)]
    return "\n" + "\n\n".join(parts) + "\n"


def _table(comment: Comment, tag: str, head: str, reflected: set[str]) -> list[str]:
    lines = [f"| {head} | |", "|---|---|"]
    for one in comment.all(tag):
        name, text = one.split()
        mark = "*" if tag == "attr" and name in reflected else ""
        kind = f" `{one.type}`".replace("|", "\\|") if one.type else ""
        lines.append(f"| `{name}`{mark}{kind} | {text} |")
    return lines


def _reflected(sources: dict[str, str]) -> set[str]:
    calls = [call for source in sources.values() for call in REFLECTED.finditer(source)]
    return {name for call in calls for group in call.groups()[1:] for name in NAME.findall(group or "")} | {
        "tabs",
        "lang",
    }


def _check(sources: dict[str, str], comments: dict[str, Comment]) -> None:
    """Raise ValueError if a comment omits an attribute or an event of its class, or names one that does not exist."""
    for tag, used in (("attr", _attributes(sources)), ("fires", _events(sources))):
        documented = {one.split()[0] for comment in comments.values() for one in comment.all(tag)}
        if documented != used:
            raise ValueError(f"@{tag}: the comments of the elements differ from the code: {sorted(documented ^ used)}")


def _attributes(sources: dict[str, str]) -> set[str]:
    observed = {
        name for source in sources.values() for found in OBSERVED.findall(source) for name in NAME.findall(found)
    }
    return observed | {name for source in sources.values() for name in READ.findall(source)}


def _events(sources: dict[str, str]) -> set[str]:
    found = {name for source in sources.values() for call in EMITTED.findall(source) for name in NAME.findall(call)}
    return {f"bellcast:{name}" for name in found}
