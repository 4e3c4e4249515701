"""The reference page of REST, made of the OpenAPI document a server gives."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import running

Json = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")

INTRODUCTION = """\
# REST

This page is made from the code by `make docs`; change the sentences there. A running server shows the same at `/docs`,
also offline, and as OpenAPI 3.1 at `/openapi.json`.

Bodies are JSON in UTF-8. Times are RFC 3339, absent is null. Paths for servers take `Authorization: Bearer` with the
project secret or an API key that has the scope; paths for recipients take a session token, in the same header or as
`?token=`, or the app's own cookie ([how](../howto/authenticate.md)). Refusals are [problems](errors.md); beside the
answers listed here every path with a door may answer `401`, `403` and `503`, and every path with a body `400`, `413`,
`415`, `422` and `507`.

Every server path takes `?tenant=`; without it the default tenant is meant.
"""
# Said once in the introduction.
COMMON = {"400", "401", "403", "413", "415", "422", "503", "507"}


def page() -> str:
    """Every operation under its tag, then every type."""
    with running.server() as server:
        document = httpx.get(f"{server.url}/openapi.json").json()
    parts = [INTRODUCTION]
    for tag in document["tags"]:
        parts.append(f"\n## {tag['name']}\n")
        parts += [_operation(*one) for one in _tagged(document, tag["name"])]
    parts.append("\n## Types\n\nA field marked * must be given in a request, and is always there in an answer.\n")
    schemas = document["components"]["schemas"]
    parts += [_schema(name, schemas[name]) for name in sorted(schemas)]
    return "".join(parts)


def _tagged(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item and tag in item[method]["tags"]:
                yield method, path, item[method]


def _operation(method: str, path: str, said: Json) -> str:
    lines = [f"\n### {method.upper()} {path}\n", f"{said['summary']}. {_door(said)}"]
    if "description" in said:
        lines.append("\n" + said["description"])
    if said["parameters"]:
        lines.append("\n| Parameter | In | Takes | |\n|---|---|---|---|")
        lines += map(_parameter, said["parameters"])
    lines += _body(said.get("requestBody"))
    lines.append("\n" + _answers(said["responses"]))
    return "\n".join(lines) + "\n"


def _door(said: Json) -> str:
    if "x-scope" in said:
        return f"For servers, scope `{said['x-scope']}`."
    return "For recipients." if said["security"] else "Open to everyone."


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


def _answers(answers: Json) -> str:
    told = [_answer(status, answer) for status, answer in answers.items() if status not in COMMON]
    return f"Answers: {', '.join(told)}."


def _answer(status: str, answer: Json) -> str:
    types = [_type(one["schema"]) for kind, one in answer.get("content", {}).items() if kind == "application/json"]
    others = [f"`{kind}`" for kind in answer.get("content", {}) if "json" not in kind]
    return " ".join([f"`{status}`", *types, *others])


def _schema(name: str, schema: Json) -> str:
    about = " ".join(schema.get("description", "").split())
    rows = [_field(field, said, schema.get("required", ())) for field, said in schema.get("properties", {}).items()]
    table = "\n| Field | Takes |\n|---|---|\n" + "".join(rows) if rows else ""
    return f"\n### Type {name}\n\n{about}\n{table}"


def _field(name: str, said: Json, required: list[str]) -> str:
    star = " *" if name in required else ""
    return f"| `{name}`{star} | {'. '.join(filter(None, (_type(said), said.get('description'))))} |\n"


def _type(schema: Json) -> str:
    """A schema in a few words, with a link where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#type-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_bounded(_type(schema.get('items', {})), schema, 'minItems', 'maxItems')}"
    said = schema.get("format") or schema.get("type", "anything")
    return _bounded(str(said), schema, "minLength", "maxLength", "minimum", "maximum")


def _bounded(said: str, schema: Json, *names: str) -> str:
    bounds = [
        f"≥ {schema[name]}" if name.startswith("min") else f"≤ {schema[name]}" for name in names if schema.get(name)
    ]
    return f"{said} ({', '.join(bounds)})" if bounds else said
