"""Generates the reference of the npm package from the JSDoc comments of its exports."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import jsdoc
from jsdoc import Comment, Tag

INTRODUCTION = """\
# TypeScript and JavaScript

This page is generated from the code by `make docs`; change the comments there.

The npm package `bellcast` is plain ESM with declarations. Your server serves the browser part as `/bellcast.js` and `/bellcast/session.js`, too.
"""


class Module(NamedTuple):
    """An entry of the package, and its declarations by file: those with a capital in `types` are types only."""

    title: str
    about: str
    declared: dict[str, str]
    entry: str


MODULES = (
    Module(
        "bellcast",
        "Registers the [elements](elements.md) and exports their classes `Bell`, `Inbox`, `Preferences` and `Toasts`. `bellcast/session` exports "
        "`Session` alone, without elements.",
        {
            "bellcast/session.js": "Session Options State Listing ConnectionState ViewHandle",
            "bellcast/api.js": "Refused GetToken TokenResult",
            "bellcast/events.js": "Notification Actor ActionButton Query View Verb Member",
            "bellcast/action-queue.js": "Which",
            "bellcast/reconnect.js": "Status",
            "bellcast/push.js": "PushOptions PushState",
            "bellcast/environment.js": "Environment",
        },
        "bellcast/index.js",
    ),
    Module(
        "bellcast/react",
        "Hooks and components for React 18 and 19: [use the bell in React](../howto/react.md).",
        {
            "bellcast/react/provider.js": "BellcastProvider useBellcast ProviderProps",
            "bellcast/react.js": "useInbox useUnread useEvent usePresence useRealtimeNotifications",
            "bellcast/react/websocket.js": "useWebSocket Message MessageCallbacks",
            "bellcast/react/components.js": "Bell Inbox Toasts Preferences RealtimeNotifications ElementProps PanelProps BellProps InboxProps "
            "ToastsProps PreferencesProps RealtimeNotificationsProps Handler",
            "bellcast/elements/tab-bar.js": "Tab",
        },
        "bellcast/react.js",
    ),
    Module(
        "bellcast/cache-invalidation",
        "Refetches cached queries when a notification names what it affects. `bellcast/touches` is an alias.",
        {"bellcast/cache-invalidation.js": "touched onTouches invalidateQueries revalidate Touched"},
        "bellcast/cache-invalidation.js",
    ),
    Module(
        "bellcast/server",
        "The client for Node, Deno, Bun, edge runtimes and Workers: [send from JavaScript](../howto/node.md).",
        {
            "server/client.js": "Bellcast Recipients Preferences Objects Inbox Options Id Target Priority Draft Item CallOptions Schedule BulkResult "
            "Notification Page Changed Which",
            "server/responders.js": "Call toNode Identity Who FindUser",
            "server/errors.js": "BellcastError NotConfigured InvalidArgument UnknownArgument RequestRefused FieldError Unauthorized WrongProject "
            "Forbidden NotFound TooManyRequests Unavailable Unreadable BulkInterrupted Refused",
            "server/signatures.js": "WebCrypto",
        },
        "server/index.js",
    ),
)
# The classes of the elements have their own page.
ELSEWHERE = {"bellcast": {"Bell", "Inbox", "Preferences", "Toasts"}}
EXPORTED = re.compile(r"^export (?:class|function|const) (\w+)|^export \{([^}]*)\}", re.MULTILINE)
DECLARATION = r"^(?:export )?(class|function|const) {name}\b(.*)$"
MEMBER = re.compile(r"^  (async )?(get )?(\*)?(\[[\w.]+\]|[a-z]\w*)\((.*?)\) \{", re.MULTILINE)
FIELD = re.compile(r"^ {2,4}(?:this\.)?([a-z]\w*) = (?:new (\w+)\()?", re.MULTILINE)
# Longer declarations have one parameter per line.
MAX_LINE = 110


def page() -> str:
    """Return the page: the entries of the package with their declarations."""
    return INTRODUCTION + "".join(map(_module, MODULES))


def _module(module: Module) -> str:
    known = {name for names in module.declared.values() for name in names.split()}
    exported = {name for found in EXPORTED.findall(jsdoc.read(module.entry)) for name in _names(*found)}
    if missing := exported - known - ELSEWHERE.get(module.title, set()):
        raise ValueError(
            f"{module.title} exports {', '.join(sorted(missing))}: add it to scripts/reference_typescript.py"
        )
    parts, types = [f"\n## {module.title}\n\n{module.about}\n"], list[str]()
    for file, names in module.declared.items():
        source = jsdoc.read(file)
        declared = dict(_types(source))
        types += [declared[name] for name in names.split() if name in declared]
        parts += [_value(source, name) for name in names.split() if name not in declared]
    return "".join([*parts, "\n### Types\n", _block("\n\n".join(types))])


def _block(code: str) -> str:
    return f"\n```ts\n{code}\n```\n"


def _names(name: str, names: str) -> list[str]:
    return [name] if name else [one.strip() for one in names.split(",") if one.strip()]


# --- types


def _types(source: str) -> Iterator[tuple[str, str]]:
    """Yield the types of a source: the name, and the declaration with its comment."""
    for comment in jsdoc.comments(source):
        places = [at for at, tag in enumerate(comment.tags) if tag.name == "typedef"]
        for place, end in pairwise([*places, len(comment.tags)]):
            tag = comment.tags[place]
            name, text = tag.split()
            properties = [one for one in comment.tags[place:end] if one.name == "property"]
            parameters = [one for one in comment.tags[:place] if one.name == "template"]
            generic = f"<{parameters[0].text.strip('[]')}>" if parameters and name == "Handler" else ""
            code = _interface(name, properties) if properties else f"type {name}{generic} = {tag.type}"
            about = text or (comment.text if place == 0 else "")
            yield name, f"/** {_sentence(about)} */\n{code}" if about else code


def _interface(name: str, properties: list[Tag]) -> str:
    lines = []
    for one in properties:
        field, text = one.split()
        comment = f"  // {text}" if text else ""
        lines.append(f"  {field}{'?' * one.is_optional}: {one.type};{comment}")
    return "\n".join([f"interface {name} {{", *lines, "}"])


# --- classes and functions


def _value(source: str, name: str) -> str:
    found = re.search(DECLARATION.format(name=name), source, re.MULTILINE)
    if found is None:
        raise ValueError(f"{name} is not declared where scripts/reference_typescript.py expects it")
    kind, rest = found[1], found[2]
    comment = jsdoc.before(source, found.start())
    declared = comment.type_of("type")
    if kind == "class":
        code = _class(name, rest, source[found.start() :], is_exported=found[0].startswith("export"))
    elif declared is not None:
        code = f"const {name}: {declared}"
    else:
        parameters = rest[rest.index("(") :]
        code = f"function {_signature(name, parameters[1 : jsdoc.closing(parameters)], comment)}"
    return f"\n### {name}\n{f'{chr(10)}{_sentence(comment.text)}{chr(10)}' if comment.text else ''}{_block(code)}"


def _class(name: str, rest: str, source: str, *, is_exported: bool) -> str:
    head = f"class {name}{rest.removesuffix('}').rstrip().removesuffix('{').rstrip()} {{"
    if rest.endswith("{}"):
        return f"{head}}}"
    body = source[: source.index("\n}\n")]
    methods = [text for method, text in _methods(body) if is_exported or method != "constructor"]
    return "\n".join([head, "\n\n".join(["\n".join(_fields(body)), *methods]).strip("\n"), "}"])


def _fields(body: str) -> Iterator[str]:
    """Yield the public fields whose type a comment or `new` states, or that the constructor sets to a parameter."""
    constructor = re.search(r"^  constructor\(", body, re.MULTILINE)
    parameters = (
        {}
        if constructor is None
        else {tag.split()[0]: tag.type for tag in jsdoc.before(body, constructor.start()).all("param")}
    )
    for found in FIELD.finditer(body):
        comment = jsdoc.before(body, found.start())
        kind = comment.type_of("type") or found[2] or parameters.get(found[1])
        if kind is not None:
            yield f"  {found[1]}: {kind};{f'  // {comment.text}' if comment.text else ''}"


def _methods(body: str) -> Iterator[tuple[str, str]]:
    """Yield the public methods: the name, and the declaration with its comment."""
    for found in MEMBER.finditer(body):
        is_async, is_getter, _, name, parameters = found.groups()
        comment = jsdoc.before(body, found.start())
        if comment.all("override") or comment.all("internal"):
            continue
        text = [f"  /** {comment.text} */"] if comment.text and name != "constructor" else []
        if is_getter:
            signature = f"readonly {name}: {comment.type_of('returns')}"
        else:
            signature = _signature(name, parameters, comment, is_async=bool(is_async))
        yield name, "\n".join([*text, *(f"  {line}" for line in signature.splitlines())])


def _signature(name: str, written: str, comment: Comment, *, is_async: bool = False) -> str:
    parameters = [part for tag in comment.all("param") for part in _parameter(tag, written)]
    returned = comment.type_of("returns") or ("Promise<void>" if is_async else None)
    result = f": {returned}" if returned and name != "constructor" else ""
    line = f"{name}({', '.join(parameters)}){result}"
    return line if len(line) <= MAX_LINE else f"{name}(\n  " + ",\n  ".join(parameters) + f",\n){result}"


def _parameter(tag: Tag, written: str) -> list[str]:
    name = tag.split()[0]
    if f"...{name}" in written and tag.type.startswith("["):  # the parameters, as a tuple
        return [tag.type[1:-1]] if tag.type != "[]" else []
    if tag.type.startswith("..."):
        return [f"...{name}: {tag.type[3:]}[]"]
    return [f"{name}{'?' * tag.is_optional}: {tag.type}"]


def _sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    return text if not text else text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")
