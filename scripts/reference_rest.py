"""Generates the REST reference from the OpenAPI document of a running server."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import running

Json = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")

INTRODUCTION = """\
# REST

This page is generated from the code by `make docs`; edit the texts there. A running server shows the same reference at
`/docs`, also offline, and as OpenAPI 3.1 at `/openapi.json`.

Bodies are JSON in UTF-8. Times are RFC 3339; an absent time is null. Paths for servers need `Authorization: Bearer` with the
project secret or an API key that has the scope. Paths for recipients need a session token, in the same header or as
`?token=`, or the app's own cookie ([how](../howto/authenticate.md)). Errors are [problem documents](errors.md). In addition to the
responses listed here, every authenticated path may return `401`, `403` and `503`, and every path with a body `400`, `413`,
`415`, `422` and `507`.

Lists are paginated: `limit` is the number of items, at most the maximum that the path states (1,000 in lists that apps
read completely, 200 in those for operators, 100 in the inbox), and `next` the value of `after` for the next page. A
larger `limit` is refused with `422`. An export as CSV or NDJSON without `limit` has all pages.

Every server path accepts `?tenant=`; the default is the default tenant. Where a path lists `?dry_run=true`, the request is validated
and planned only: nothing is written or sent, and the response is that of the request with status `200`. Elsewhere `dry_run` is
refused with `422`, like every unknown parameter: for example, tokens and marking in the inbox have no dry run.

A `PUT` ignores the fields that only a read has, such as `key`, `created_at` and `unread`: what was read can be sent back as it is. The path
names the object. Every other unknown field is refused with `422`.

Sends, bulk sends, imports and triggers accept an `Idempotency-Key`: their paths list the header. Elsewhere it has no effect, and a
repeated request acts again: another token, key or test message.
"""
# Listed once, in the introduction.
COMMON = {"400", "401", "403", "413", "415", "422", "503", "507"}


def page() -> str:
    """Return the page: the operations by tag, then the types."""
    with running.server() as server:
        document = httpx.get(f"{server.url}/openapi.json").json()
    parts = [INTRODUCTION]
    for tag in document["tags"]:
        parts.append(f"\n## {tag['name']}\n")
        parts += [_operation(*one) for one in _tagged(document, tag["name"])]
    parts.append("\n## Types\n\nA field marked * is required in requests and always present in responses.\n")
    schemas = document["components"]["schemas"]
    parts += [_schema(name, schemas[name]) for name in sorted(schemas)]
    return "".join(parts)


def _tagged(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item and tag in item[method]["tags"]:
                yield method, path, item[method]


def _operation(method: str, path: str, operation: Json) -> str:
    lines = [f"\n### {method.upper()} {path}\n", f"{operation['summary']}. {_access(operation)}"]
    if "description" in operation:
        lines.append("\n" + operation["description"])
    if operation["parameters"]:
        lines.append("\n| Parameter | In | Type | |\n|---|---|---|---|")
        lines += map(_parameter, operation["parameters"])
    lines += _body(operation.get("requestBody"))
    lines.append("\n" + _responses(operation["responses"]))
    return "\n".join(lines) + "\n"


def _access(operation: Json) -> str:
    if "x-scope" in operation:
        return f"For servers, scope `{operation['x-scope']}`."
    names = {name for alternative in operation["security"] for name in alternative}
    if "console" in names:
        return "For the project secret and owners." if "server" in names else "For operators."
    return "For recipients." if names else "No authentication."


def _parameter(one: Json) -> str:
    place = one["in"] + (", required" if one.get("required") and one["in"] != "path" else "")
    return f"| `{one['name']}` | {place} | {_type(one['schema'])} | {one.get('description', '')} |"


def _body(body: Json | None) -> Iterator[str]:
    if body is None:
        return
    content = body["content"]["application/json"]
    yield f"\nBody: {_type(content['schema'])}."
    if "example" in content:
        yield f"\n```json\n{json.dumps(content['example'])}\n```"


def _responses(responses: Json) -> str:
    listed = [_response(status, response) for status, response in responses.items() if status not in COMMON]
    return f"Responses: {', '.join(listed)}."


def _response(status: str, response: Json) -> str:
    types = [_type(one["schema"]) for kind, one in response.get("content", {}).items() if kind == "application/json"]
    others = [f"`{kind}`" for kind in response.get("content", {}) if "json" not in kind]
    return " ".join([f"`{status}`", *types, *others])


def _schema(name: str, schema: Json) -> str:
    about = " ".join(schema.get("description", "").split())
    rows = [_field(field, inner, schema.get("required", ())) for field, inner in schema.get("properties", {}).items()]
    table = "\n| Field | Type |\n|---|---|\n" + "".join(rows) if rows else ""
    return f"\n### Type {name}\n\n{about}\n{table}"


def _field(name: str, schema: Json, required: list[str]) -> str:
    star = " *" if name in required else ""
    return f"| `{name}`{star} | {'. '.join(filter(None, (_type(schema), schema.get('description'))))} |\n"


def _type(schema: Json) -> str:
    """Describe a schema in a few words, with a link if it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#type-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_bounded(_type(schema.get('items', {})), schema, 'minItems', 'maxItems')}"
    kind = schema.get("format") or schema.get("type", "anything")
    return _bounded(str(kind), schema, "minLength", "maxLength", "minimum", "maximum")


def _bounded(kind: str, schema: Json, *names: str) -> str:
    bounds = [
        f"≥ {schema[name]}" if name.startswith("min") else f"≤ {schema[name]}" for name in names if schema.get(name)
    ]
    return f"{kind} ({', '.join(bounds)})" if bounds else kind
