"""Renders the OpenAPI document and the errors as HTML. Pure."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape

from bellcast.api.error_advice import BY_CODE
from bellcast.api.openapi import Json
from bellcast.api.reasons import Reason
from bellcast.errors import BellcastError

NAMES = re.compile("`([^`]+)`")
BOUNDS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "maxLength": "of at most {:,} characters",
    "maxItems": "of at most {:,}",
}
METHODS = ("get", "post", "put", "patch", "delete")

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5b6578; --line: #dfe3ea; --paper: #fff; --tint: #f5f7fa; --accent: #2f5bd8 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9f0; --soft: #9aa5b8; --line: #2c3444; --paper: #12161f; --tint: #1a202c; --accent: #8aa8ff } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
.frame { display: grid; grid-template-columns: 17rem minmax(0, 52rem); gap: 3rem; max-width: 76rem; margin: auto; padding: 0 1.5rem }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto; padding: 2rem 0; font-size: .85rem }
nav h2 { margin: 1.2rem 0 .3rem; font-size: .75rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft) }
nav a { display: block; padding: .1rem 0; color: inherit; text-decoration: none; overflow-wrap: anywhere }
nav a:hover, main a { color: var(--accent) }
main { padding: 2rem 0 6rem } h1 { margin: 0 0 .5rem; font-size: 2rem } h2 { margin: 3rem 0 1rem; font-size: 1.35rem }
article { padding: 1.25rem 0; border-top: 1px solid var(--line) } article h3 { margin: 0; font-size: 1.05rem }
code, pre { font: .86em/1.5 ui-monospace, monospace } pre { margin: .6rem 0; padding: .9rem 1rem; overflow: auto; background: var(--tint); border-radius: 8px }
.path { overflow-wrap: anywhere } .method { display: inline-block; min-width: 4.2em; font-weight: 700; color: var(--accent) }
.soft { color: var(--soft); font-size: .9rem } table { width: 100%; border-collapse: collapse; font-size: .9rem }
th { text-align: left; font-weight: 600; color: var(--soft) } td code { overflow-wrap: anywhere } td, th { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
summary { cursor: pointer; padding: .4rem 0; color: var(--accent); font-size: .9rem }
.sheet { max-width: 46rem; margin: auto; padding: 0 1.25rem 4rem } .sheet main { padding: 1rem 0 0 }
.sheet h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem } .sheet ul { margin: 0; padding-left: 1.2rem } .sheet li { margin: .35rem 0 }
nav.top { position: static; display: flex; align-items: baseline; gap: 1.25rem; padding: 1.25rem 0; font-size: .9rem; border-bottom: 1px solid var(--line) }
.badge { margin: 1.5rem 0 .75rem } .badge code { padding: .25rem .65rem; border-radius: 99px; background: var(--tint); color: var(--accent); font-weight: 600 }
.lead { font-size: 1.1rem } .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .8rem; margin-top: 1.25rem }
.cards article { padding: 0; border: 0 } .cards a { display: block; height: 100%; padding: 1rem 1.1rem; border: 1px solid var(--line); border-radius: 12px; background: var(--tint); color: inherit; text-decoration: none }
.cards a:hover { border-color: var(--accent); color: inherit } .cards h3 { margin: 0 } .cards a > code { color: var(--accent) } .cards p { margin: .4rem 0 0; font-size: .9rem; color: var(--soft) }
@media (max-width: 60rem) { .frame { grid-template-columns: minmax(0, 1fr); gap: 0 } nav { position: static; max-height: none; padding-bottom: 0 } }
@media (max-width: 40rem) { tr { display: flex; flex-wrap: wrap; gap: 0 .8rem; padding: .4rem 0; border-bottom: 1px solid var(--line) } tr:has(th) { display: none } td { padding: 0; border: 0 } td:last-child { flex: 1 0 100% } }
"""


def _whole(title: str, nav: str, main: str) -> bytes:
    return _document(title, f'<div class="frame"><nav>{nav}</nav><main>{main}</main></div>')


def _document(title: str, body: str) -> bytes:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>'.encode()
    )


def reference(document: Json, base: str) -> bytes:
    """Render the reference of all operations and schemas. `base` is the path of the server, with a trailing slash.
    Links are not relative, because they would differ between a page's URLs with and without a trailing slash."""
    by_tag = _by_tag(document)
    schemas = document["components"]["schemas"]
    info = document["info"]
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_prose(info['description'])}</p>"]
    parts.append(
        f'<p class="soft">For machines: <a href="{base}openapi.json">openapi.json</a>. '
        f'<a href="{base}errors">Every error</a>.</p>'
    )
    for tag, operations in by_tag.items():
        parts.append(f"<h2>{escape(tag)}</h2>{''.join(_operation(*one) for one in operations)}")
    parts.append(f"<h2>Types</h2>{''.join(_schema(name, schema) for name, schema in sorted(schemas.items()))}")
    return _whole(f"{info['title']} reference", _contents(by_tag), "".join(parts))


def _by_tag(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    result: defaultdict[str, list[tuple[str, str, Json]]] = defaultdict(list)
    for tag in document["tags"]:
        result[tag["name"]] = []
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                result[item[method]["tags"][0]].append((method, path, item[method]))
    return result


def _contents(by_tag: dict[str, list[tuple[str, str, Json]]]) -> str:
    def links(operations: Sequence[tuple[str, str, Json]]) -> Iterator[str]:
        for _, _, spec in operations:
            yield f'<a href="#{escape(spec["operationId"])}">{escape(spec["summary"])}</a>'

    return "".join(f"<h2>{escape(tag)}</h2>{''.join(links(result))}" for tag, result in by_tag.items())


def _operation(method: str, path: str, spec: Json) -> str:
    parts = [
        f'<article id="{escape(spec["operationId"])}"><h3>{escape(spec["summary"])}</h3>',
        f'<p class="path"><code><span class="method">{method.upper()}</span>{escape(path)}</code></p>',
        f"<p>{_prose(spec['description'])}</p>" if "description" in spec else "",
        f'<p class="soft">{_access(spec)}</p>',
        _parameters(spec["parameters"]),
        _body(spec.get("requestBody")),
        _responses(spec["responses"]),
        "</article>",
    ]
    return "".join(parts)


def _access(spec: Json) -> str:
    if "x-scope" in spec:
        return f"The project secret, or an API key with the scope <code>{escape(spec['x-scope'])}</code>."
    names = {name for alternative in spec["security"] for name in alternative}
    if "console" in names:
        return "The project secret, or an owner of the console." if "server" in names else "An operator of the console."
    return "A recipient's session token." if names else "No credentials."


def _parameters(parameters: Sequence[Json]) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}{', required' if one.get('required') else ''}"
        f"</td><td>{_type(one['schema'])}{_bounds(one['schema'])}</td><td>{_prose(one.get('description', ''))}</td></tr>"
        for one in parameters
    )
    return f"<table><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>{rows}</table>"


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    content = body["content"]["application/json"]
    others = [kind for kind in body["content"] if kind != "application/json"]
    also = f" Also one per line, as {', '.join(f'<code>{escape(kind)}</code>' for kind in others)}." if others else ""
    example = f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>" if "example" in content else ""
    return f"<p>Body: {_type(content['schema'])}.{also}</p>{example}"


def _responses(responses: Json) -> str:
    def row(status: str, response: Json) -> str:
        types = [_type(one["schema"]) for kind, one in response.get("content", {}).items() if "problem" not in kind]
        spec = response["description"]
        return f"<tr><td><code>{escape(status)}</code></td><td>{_prose(spec)}</td><td>{' '.join(types)}</td></tr>"

    return f"<details><summary>Responses</summary><table>{''.join(row(*one) for one in responses.items())}</table></details>"


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' *' if field in required else ''}</td>"
        f"<td>{_type(spec)}{_bounds(spec)} {_prose(spec.get('description', ''))}</td></tr>"
        for field, spec in schema.get("properties", {}).items()
    )
    parts = _prose(schema.get("description", ""))
    return f'<article id="{escape(name)}"><h3>{escape(name)}</h3><p class="soft">{parts}</p><table>{rows}</table></article>'


def _type(schema: Json) -> str:
    """Describe a schema in a few words, with a link to a named type."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type", "anything")))


def _bounds(schema: Json) -> str:
    """Return the bounds of a field: length, count, range and default."""
    parts = [_bounds(one) for one in schema.get("anyOf", ())]
    for name, word in BOUNDS.items():
        if schema.get(name):
            parts.append(f" {word.format(schema[name])}")
    if schema.get("default") not in (None, [], {}):
        parts.append(f", <code>{escape(json.dumps(schema['default']))}</code> if absent")
    return "".join(parts)


def _prose(text: str) -> str:
    """Render sentences with `names` as code."""
    return NAMES.sub(r"<code>\1</code>", escape(text))


def error(one: type[BellcastError], example: str, base: str) -> bytes:
    """Render the page of an error: meaning, usual causes and remedies. `example` is a response body."""
    advice = BY_CODE[one.code]
    main = (
        f'<p class="badge"><code>{one.status} {one.code}</code></p><h1>{escape(one.title)}</h1>'
        f'<p class="lead">{_prose(_meaning(one))}</p>'
        f"<h2>What was wrong</h2>{_bullets(advice.causes)}<h2>What to do</h2>{_bullets(advice.remedies)}"
        f"<h2>What the server sends</h2><pre>{escape(example)}</pre>"
        '<p class="soft"><code>detail</code> describes the problem of the specific request. Log lines contain the id in '
        "the response header <code>X-Request-Id</code>.</p>"
    )
    return _sheet(f"{one.title} · Bellcast", base, main)


def reason(one: Reason, base: str) -> bytes:
    """Render the page of a code that is not an HTTP error."""
    main = (
        f'<p class="badge"><code>{_label(one)}</code></p><h1>{escape(one.title)}</h1>'
        f'<p class="lead">{_prose(one.meaning)}</p><p class="soft">{_prose(one.origin)}</p>'
        f"<h2>What was wrong</h2>{_bullets(one.causes)}<h2>What to do</h2>{_bullets(one.remedies)}"
    )
    return _sheet(f"{one.title} · Bellcast", base, main)


def _label(one: Reason) -> str:
    return one.code if one.close_code is None else f"{one.close_code} {one.code}"


def errors(every: Sequence[type[BellcastError]], reasons: Sequence[Reason], base: str) -> bytes:
    """Render the list of all errors and other codes."""
    cards = "".join(
        f'<article><a href="{base}errors/{one.code}"><h3>{escape(one.title)}</h3><code>{one.status} {one.code}</code>'
        f"<p>{_prose(_meaning(one))}</p></a></article>"
        for one in sorted(every, key=lambda one: (one.status, one.code))
    )
    cards += "".join(
        f'<article><a href="{base}errors/{one.code}"><h3>{escape(one.title)}</h3><code>{_label(one)}</code>'
        f"<p>{_prose(one.meaning)}</p></a></article>"
        for one in reasons
    )
    return _sheet("Errors · Bellcast", base, f'<h1>Errors</h1><div class="cards">{cards}</div>')


def _sheet(title: str, base: str, main: str) -> bytes:
    """Render a page in one column."""
    links = f'<b>Bellcast</b><a href="{base}docs">API reference</a><a href="{base}errors">Errors</a>'
    return _document(title, f'<div class="sheet"><nav class="top">{links}</nav><main>{main}</main></div>')


def _bullets(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_prose(one)}</li>' for one in sentences)}</ul>"


def _meaning(one: type[BellcastError]) -> str:
    return " ".join((one.__doc__ or "").split())
