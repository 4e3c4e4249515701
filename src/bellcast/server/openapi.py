"""Generates the OpenAPI document from the operations and their types."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast import __version__
from bellcast.auth import keys
from bellcast.auth.request import COOKIE
from bellcast.channels.types import EXTERNAL_CHANNELS
from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.kernel import field_limits
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.field_limits import (
    ANY_TENANT_PATTERN,
    KEY,
    KEY_PATTERN,
    NO,
    NULL,
    PLAIN,
    TENANT,
    TOPIC,
    Schema,
    text,
)
from bellcast.kernel.http import request_body
from bellcast.kernel.http.responses import JSON, PROBLEM
from bellcast.kernel.limits import Limits
from bellcast.live.dialects import DIALECTS
from bellcast.preferences.types import Preferences
from bellcast.rest import operations
from bellcast.rest.operations import ApiEndpoint, Operation, refusals

Json = dict[str, Any]
OBJECT_KEY = r"^[A-Za-z0-9_.-]+$"
# In a query an empty value is the default tenant. Lists accept `*`, which is every tenant.
TENANT_OR_DEFAULT = r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]*$"
# Filters compare any text, or each text of a list.
ANY_TEXT: Schema = {"pattern": PLAIN, "items": {"pattern": PLAIN}}
KEYWORDS = {
    "string": ("pattern", "minLength", "maxLength", "format", "enum"),
    "array": ("minItems", "maxItems", "uniqueItems"),
    "object": ("propertyNames", "minProperties", "maxProperties"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum", "exclusiveMinimum"),
}
# Keywords that contain the schema of the elements of a list or the values of an object.
PARTS = ("items", "additionalProperties")
REF = "#/components/schemas/{name}"

DESCRIPTION = """The REST surface of Bellcast: your server sends with the project secret or an API key, your pages read their
own inbox with a session token.

- **Tenants**: Without `tenant`, a request is about the default tenant: a list is empty, and an object is not found, if only other
  tenants have some.
- **Errors**: `application/problem+json`, which names each bad field.
- **Times and lists**: Times are RFC 3339, absent is null, lists are newest first or in the order of their keys.
- **Exports**: With `Accept: text/csv` or `application/x-ndjson`, lists that have these types respond with all their rows, at
  most 100,000; with `limit`, with one page of them."""

SECURITY: Json = {
    "server": {"type": "http", "scheme": "bearer", "description": "The project secret or an API key."},
    "session": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A recipient's session token.",
    },
    "sessionInQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The session token, for browser APIs without headers.",
    },
    "console": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session of an operator, on pages of this server. It opens the paths of servers too, within "
        "the operator's role.",
    },
}
SECURITY_OF_SCOPE: dict[str, tuple[str, ...]] = {
    "recipient": ("session", "sessionInQuery"),
    "admin": ("server", "console"),
    "operator": ("console",),
}
REQUEST_HEADERS = {
    "Idempotency-Key": "Repeating the same key and body within 24 hours returns the first response.",
    "If-None-Match": "The ETag of the client's cached response: if nothing changed, the response is a 304. In a PUT, `*` means: write only if there is no such object; else the response is a 412.",
    "If-Match": "The ETag of the object as it was read: if it has changed since then, nothing is written, and the response is a 412.",
}
OTHER_TYPES: Json = {
    "application/yaml": {"description": "The same as YAML."},
    request_body.FORM: {
        "type": "object",
        "description": "The same as the field of a form.",
        "properties": {"request": {"type": "string"}},
        "required": ["request"],
    },
}
EXPORTS: Json = {type.partition(";")[0]: {"schema": {"type": "string"}} for type in operations.MEDIA_TYPES.values()}
STREAMED: Json = {operations.MEDIA_TYPES["ndjson"]: {"schema": {"type": "string"}}}
RESPONSE_HEADERS = {
    "Set-Cookie": "The session of the operator: HttpOnly, SameSite=Lax, and Secure over HTTPS.",
    "ETag": "Changes with each field of the response. `If-Match` compares only what a write replaces.",
}
PROTOCOLS = " or ".join((", ".join(f"`{one.name}`" for one in DIALECTS[:-1]), f"`{DIALECTS[-1].name}`"))
PARAMETERS = {
    "message": "The id of the message to show.",
    "key": "A key: the app's own id.",
    "recipient": "The recipient's key.",
    "data": "Variables as a JSON object.",
    "locale": "A language such as `de` or `de-AT`.",
    "topic": "The topic's name.",
    "id": "An id from a response.",
    "code": "An error's code.",
    "name": "The path of a module or a page.",
    "tenant": "The tenant. Default: the default tenant.",
    "limit": "Maximum number of items.",
    "after": "The `next` of the previous page.",
    "before": "The `next` of the previous page.",
    "search": "Prefix of the key.",
    "view": "A part of the inbox: `all` is everything not archived.",
    "type": "Only of this type.",
    "channel": "A channel: only of this one.",
    "address": "An address of the channel; e-mail in any case.",
    "state": "Only in this state.",
    "actor": "Only of this actor: the name of an operator, `key:<id>` or `project secret`.",
    "outcome": "Only with this outcome: `refused` is any other error, also `internal`. After `password_required`, the console repeats the request.",
    "notification": "A notification's id: only of this one.",
    "run": "Only of this workflow run.",
    "count": "How many times.",
    "workflow": "Only of this workflow.",
    "trigger": "Only of this trigger; adds `fanout` and `counts`.",
    "version": "A version of the object. Default: the current one.",
    "step_state": "Only of runs in which the `step`, or any step, is in this state.",
    "dry_run": "Validate only; change nothing.",
    "kinds": "Kinds of objects, separated by commas, such as `workflows,templates`. Default: all.",
    "scheme": "The color scheme of the e-mail, or inverted colors as some mail programs make them.",
    "html": "The number of a recipient and the key of a step, such as `0.mail`: returns the HTML of that e-mail instead.",
    "images": "`on` lets the browser load the images.",
    "drafts": "Also list drafts that were never published.",
    "token": "The token of the link.",
    "tag": "Only with this tag.",
    "from": "Only items sent at this time or later.",
    "to": "Only items sent before this time.",
    "priority": "Only of this priority.",
    "since": "Only items created at this time or later.",
    "prefix": "Beginning of the key or the name.",
    "keys": "Only those with these keys; for the tenant `*`, each with its tenant: `acme/alice`.",
    "protocol": f"Only connections of this protocol: {PROTOCOLS}.",
    "node": "Only of this node.",
    "reconnect": "Whether the client may reconnect.",
    "connection": "Only of this connection.",
    "kind": "Only of this kind; the feed takes several.",
    "text": "Only with this text, in any case.",
    "last": "Begin with at most this many recent events.",
    "status": "Only with this status, or a class such as `4xx`.",
    "route": "Only of this route, with or without its method.",
    "metrics": "Metrics by name, repeated or separated by commas. Default: all.",
    "step": "The key of a step, only of runs that reached it; of statistics, the length of an interval.",
    "provider": "Only of this provider.",
    "job": "Only dead jobs of this kind.",
    "webhook": "Only deliveries to this webhook.",
    "cause": "Only with this cause.",
}


class FieldProblem(Struct, frozen=True):
    """An invalid field."""

    field: str
    message: str
    line: int | UnsetType = UNSET


class Problem(Struct, frozen=True):
    """An error response (RFC 9457)."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


# The first part of an operation's id, where it is not the name of its module or room: ids are public.
OPERATION_GROUPS = {
    "bellcast.audit.http": "operators",
    "bellcast.auth.http": "tokens",
    "bellcast.console.http.monitoring": "connections",
    "bellcast.channels.http": "messages",
    "bellcast.channels.http.link_pages": "unsubscribe",
    "bellcast.documents.http": "stored_secrets",
    "bellcast.exports.http": "export",
    "bellcast.operators.http": "console_session",
    "bellcast.operators.http.passwordless": "passkeys",
    "bellcast.server.metrics": "health",
}


def document(served: Sequence[ApiEndpoint], limits: Limits) -> Json:
    schemas = _Schemas(served, limits)
    paths: defaultdict[str, Json] = defaultdict(dict)
    for endpoint in sorted(served, key=lambda one: one.template):
        paths[endpoint.template][endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bellcast",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {"schemas": schemas.components, "securitySchemes": SECURITY},
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
    }


class _Schemas:
    """The schemas of all request and response types, with the configured limits."""

    def __init__(self, served: Sequence[ApiEndpoint], limits: Limits) -> None:
        used = [
            one
            for endpoint in served
            for one in (*_inputs(endpoint.operation), *endpoint.operation.response_types.values())
        ]
        types = [Problem, *(one for one in used if one is not None and not isinstance(one, str))]
        schema, components = msgspec.json.schema_components(types, ref_template=REF)
        # In Python `$` also matches before a final line break, and JSON Schema has no `\Z`.
        self.components = msgspec.json.decode(msgspec.json.encode(components).replace(rb"\\Z", b"$"))
        self._by_type = dict(zip(map(repr, types), schema, strict=True))
        self.limits = limits
        # Responses that contain the fields of a request are not limited: the limits may have been higher.
        for one in {one for endpoint in served for type in _inputs(endpoint.operation) for one in _structs(type)}:
            component = self.components[one.__name__]
            names = dict(zip(one.__struct_fields__, one.__struct_encode_fields__, strict=True))
            for field, limit in field_limits.of(one).items():
                properties, name = component["properties"], names[field]
                properties[name] = _restrict(properties[name], limit.schema(limits))
            component.update(vars(one).get("SCHEMA", {}))
        for name in MERGE_PATCHES:
            # RFC 7396: a null removes a field, at any depth.
            fields = {field: _or_null(one) for field, one in self.components[name]["properties"].items()}
            self.components[name] = self.components[name] | {"properties": fields}
        # Each of the quiet hours alone suffices in a change of preferences, if the other one is stored.
        hours, whole = self.components["QuietHours"], self.components["Preferences"]
        quiet_hours = {"quiet_hours": {"anyOf": [NO, hours | {"required": []}, NULL]}}
        title = {"title": PREFERENCES_CHANGE, "properties": whole["properties"] | quiet_hours}
        self.components[PREFERENCES_CHANGE] = whole | title
        queries = {endpoint.operation.query.__name__ for endpoint in served if endpoint.operation.query is not None}
        self._queries = {name: self.components.pop(name) for name in queries}
        # Response types in which fields with defaults are always present too
        read = {
            one
            for endpoint in served
            if endpoint.operation.body is not None
            for one in _structs(endpoint.operation.body)
        }
        extra = {
            one for endpoint in served for type in endpoint.operation.response_types.values() for one in _structs(type)
        }
        complete = {one.__name__ for one in extra - read if not one.__struct_config__.omit_defaults} - AS_WRITTEN
        for name, schema in self.components.items():
            _complete_types(schema)
            for field, one in schema.get("properties", {}).items():
                if field.endswith("_at") and field not in LOCAL_TIMES:
                    schema["properties"][field] = _restrict(one, {"format": "date-time"})
            _describe_defaults(schema, required=name in complete)

    def of(self, type: Any) -> Json:
        """Return the schema of a type, by reference."""
        schema: Json = self._by_type[repr(type)]
        return schema

    def query(self, endpoint: ApiEndpoint) -> Iterator[tuple[str, Json, bool]]:
        """Yield name, schema and `required` of each query parameter."""
        name, is_list = endpoint.operation.query.__name__, endpoint.operation.tenant_rule == "list"
        pattern = ANY_TENANT_PATTERN if is_list or endpoint.template.startswith("/v1/webhooks") else TENANT_OR_DEFAULT
        schema, tenant = self._queries[name], text(self.limits.key, pattern)
        for name, field in schema["properties"].items():
            bound = {} if "pattern" in str(field) else tenant if name == "tenant" else ANY_TEXT
            yield name, _restrict(field, bound), name in schema["required"]


def _inputs(operation: Operation) -> list[Any]:
    return [one for one in (operation.query, operation.body) if one is not None]


def _or_null(schema: Schema) -> Schema:
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        schema = schema | {"additionalProperties": _or_null(inner)}
    parts = schema.get("anyOf", [schema])
    return schema if NULL in parts else {"anyOf": [*parts, NULL]}


def _path_parameter(path: str, name: str, limits: Limits) -> Schema:
    """Constraints of a parameter of a path."""
    if name == "key" and path.startswith(OBJECT_PATHS):
        return text(MAX_OBJECT_KEY, OBJECT_KEY)
    if name == "key" and path.startswith("/v1/types/"):
        return text(limits.type)
    if name == "key" and path.startswith("/v1/tenants/"):
        return TENANT.schema(limits)
    if name == "channel":
        return {"enum": [*EXTERNAL_CHANNELS]}
    if name == "topic":
        return TOPIC.schema(limits)
    return text(limits.key, KEY_PATTERN) if name in ("key", "recipient") else {}


# The paths of objects whose keys have the restricted form of `objects.checked_key`.
OBJECT_PATHS = ("/v1/providers/", "/v1/schedules/", "/v1/sources/", "/v1/templates/", "/v1/workflows/")


def _restrict(schema: Schema, bound: Schema) -> Schema:
    """Add a constraint to a field's schema: to the alternatives that have the same type, and to the parts of lists and objects."""
    if "anyOf" in schema:
        return schema | {"anyOf": [_restrict(one, bound) for one in schema["anyOf"]]}
    names = KEYWORDS.get(schema.get("type", ""), ())
    parts = {name: _restrict(schema[name], bound[name]) for name in PARTS if name in schema and name in bound}
    return schema | {name: value for name, value in bound.items() if name in names} | parts


# A time of day, and a time that may be in a time zone.
LOCAL_TIMES = frozenset({"digest_at", "send_at"})
# Request types in which null removes a field.
MERGE_PATCHES = ("Preferences",)
# A change of them may set one of the quiet hours; the other one is stored.
PREFERENCES_CHANGE = "PreferencesChange"
TAGS = {
    "Access": "API keys, and tokens of recipients.",
    "Console": "Operators and their sessions, settings, statistics, and the live feed.",
    "Inbox": "The inbox of a recipient.",
    "Live": "Live events, and connections of clients.",
    "Messages": "Messages by e-mail and other channels, their failures, and suppressed addresses.",
    "Objects": "Definitions with a key: templates, types, providers and webhooks.",
    "Preferences": "Preferences of recipients, tenants and the project.",
    "Recipients": "Recipients, and the export of their data.",
    "Sending": "Notifications and announcements: send, import, and look up what happened.",
    "Server": "State of the server: health, nodes, jobs and diagnosis.",
    "Tenants": "Tenants and their limits.",
    "Topics": "Topics, their followers and their events.",
    "Workflows": "Workflows and their runs.",
}
# Response types that repeat a definition as it was written, without absent fields.
AS_WRITTEN = frozenset({"PublishedWorkflow", "ScheduleObject", "WorkflowObject"})


def _structs(type: Any) -> set[Any]:
    """Return the struct types within a type, which can contain itself."""
    found, waiting = set(), [type]
    while waiting:
        one = waiting.pop()
        if hasattr(one, "__struct_config__") and one not in found:
            found.add(one)
            waiting += [field.type for field in msgspec.structs.fields(one)]
        waiting += get_args(one)
    return found


def _describe_defaults(schema: Json, *, required: bool) -> None:
    """Move defaults into the description: code generators assume that a field with a `default` is always present, even
    in requests."""
    for name, field in schema.get("properties", {}).items():
        if "default" not in field:
            continue
        default = field.pop("default")
        if required:
            schema["required"] = [*schema.get("required", ()), name]
        elif default not in (None, [], {}):
            field["description"] = f"Default: `{msgspec.json.encode(default).decode()}`."


def _complete_types(schema: Json) -> None:
    """Add types for code generators. Without `additionalProperties` they generate empty objects, and without `type`
    they ignore an `enum`."""
    parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    if isinstance(schema.get("additionalProperties"), dict):
        parts.append(schema["additionalProperties"])
    for part in parts + ([schema["items"]] if "items" in schema else []):
        _complete_types(part)
    if schema.get("type") == "object" and "properties" not in schema:
        schema.setdefault("additionalProperties", True)
    if "enum" in schema and all(isinstance(one, bool) for one in schema["enum"]):
        values = schema.pop("enum")
        schema["type"] = "boolean"
        if len(values) == 1:
            schema["const"] = values[0]
    if "enum" in schema and all(isinstance(one, str) for one in schema["enum"]):
        schema.setdefault("type", "string")


def _operation(endpoint: ApiEndpoint, schemas: _Schemas) -> Json:
    declared, function = endpoint.operation, endpoint.respond
    summary, _, description = (function.__doc__ or "").strip().partition("\n\n")
    module = function.__module__
    group = OPERATION_GROUPS.get(module) or module.removesuffix(".http").rpartition(".")[2]
    schemes = () if declared.required_scope is None else SECURITY_OF_SCOPE.get(declared.required_scope, ("server",))
    spec: Json = {
        "operationId": declared.id or f"{group}.{function.__name__}",
        "tags": [declared.tag],
        "summary": " ".join(summary.split()).removesuffix("."),
        "parameters": [*_parameters(endpoint, schemas)],
        "responses": _responses(endpoint, schemas),
        "security": [{name: []} for name in schemes],
    }
    if description:
        spec["description"] = " ".join(description.split())
    if declared.required_scope in keys.SCOPES:
        spec["x-scope"] = declared.required_scope
    if declared.body is not None:
        is_change = declared.body is Preferences and endpoint.method == "PATCH"
        content = {"schema": {"$ref": REF.format(name=PREFERENCES_CHANGE)} if is_change else schemas.of(declared.body)}
        if declared.example is not None:
            content["example"] = declared.example
        # The content of a body in JSON lines or YAML, for which OpenAPI has no schema. Errors of a line are reported in
        # its result.
        spec["requestBody"] = {
            "required": not declared.is_body_optional,
            "content": {JSON: content}
            | {
                kind: {"schema": OTHER_TYPES.get(kind, {"description": "One object per line."})}
                for kind in declared.body_types
                if kind != JSON
            },
        }
    return spec


def _parameters(endpoint: ApiEndpoint, schemas: _Schemas) -> Iterator[Json]:
    for name in (part[1:-1] for part in endpoint.template.split("/") if part.startswith("{")):
        bound = _path_parameter(endpoint.template, name, schemas.limits)
        schema: Json = {"type": "string", "minLength": 1} | bound
        yield {"name": name, "in": "path", "required": True, "description": PARAMETERS[name], "schema": schema}
    if endpoint.operation.query is not None:
        for name, schema, required in schemas.query(endpoint):
            # A query parameter cannot be null: it is omitted instead
            alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
            shown = alternatives[0] if len(alternatives) == 1 else schema
            extra = {"description": PARAMETERS[name], "schema": shown}
            yield {"name": name, "in": "query", "required": required, **extra}
    for name in endpoint.operation.headers + endpoint.operation.required_headers:
        bound = KEY.schema(schemas.limits) if name == "Idempotency-Key" else {}
        required = name in endpoint.operation.required_headers
        extra = {"description": REQUEST_HEADERS[name], "schema": {"type": "string"} | bound}
        yield {"name": name, "in": "header", "required": required, **extra}


def _responses(endpoint: ApiEndpoint, schemas: _Schemas) -> Json:
    declared = endpoint.operation
    responses: Json = {}
    for status, type_ in declared.response_types.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if isinstance(type_, str):
            responses[str(status)]["content"] = {type_.partition(";")[0]: {"schema": {"type": "string"}}}
        elif type_ is not None:
            responses[str(status)]["content"] = {JSON: {"schema": schemas.of(type_)}}
        if declared.is_exported and status == HTTPStatus.OK:
            responses[str(status)]["content"] |= EXPORTS
        if declared.is_streamed and status == HTTPStatus.OK:
            responses[str(status)]["content"] |= STREAMED
        if declared.response_headers:
            extra = {
                name: {"description": RESPONSE_HEADERS[name], "schema": {"type": "string"}}
                for name in declared.response_headers
            }
            responses[str(status)]["headers"] = extra
    by_status: defaultdict[int, list[type[BellcastError]]] = defaultdict(list)
    for error in refusals(endpoint):
        by_status[error.status].append(error)
    for code, errors in sorted(by_status.items()):
        responses[str(code)] = {
            "description": " ".join(" ".join((error.__doc__ or "").split()) for error in errors),
            "content": {PROBLEM: {"schema": schemas.of(Problem)}},
        }
        if header := {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}.get(code):
            responses[str(code)]["headers"] = {header: {"schema": {"type": "string"}}}
    return responses
