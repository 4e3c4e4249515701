"""Constraints of fields beyond their types, for the OpenAPI document. The rules themselves are in
`model.validation`."""

from typing import Any

from bellcast.api.console_session import MAX_NAME
from bellcast.api.objects import MAX_KEY
from bellcast.api.recipients import EMAIL, LABEL, PHONE, ROLES
from bellcast.api.tokens import PATTERNS
from bellcast.auth import passkeys
from bellcast.auth.console_sessions import NAME
from bellcast.auth.oidc_sign_in import MAX_RETURN_PATH, RETURN_PATH
from bellcast.auth.passwords import MAX_LENGTH, MIN_LENGTH
from bellcast.auth.tokens import MAX_TTL_SECONDS
from bellcast.model.limits import Limits
from bellcast.model.preferences import CHANNELS
from bellcast.model.times import DURATION
from bellcast.model.validation import ACTION_KEY, MAX_ACTIONS

Schema = dict[str, Any]

KEY = r"^[^\x00-\x1f\x7f-\x9f]+$"
OBJECT_KEY = r"^[A-Za-z0-9_.-]+$"
TENANT = r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]+$"
# In a query an empty value is the default tenant.
TENANT_OR_DEFAULT = r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]*$"
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
TOPIC = r"^[A-Za-z0-9_=@,.;-]+$"
PATTERN = r"^[A-Za-z0-9_=@,.;*-]+$"
PLAIN = r"^[^\x00]*$"
NOT_BLANK = r"^[^\x00]*[^\x00\s][^\x00]*$"
TIME = {"format": "date-time"}
TIME_OR_BACK = {"pattern": r"^(back|\d{4}-\d{2}-\d{2}T.+)$"}
AUDIENCE_FIELDS = {
    "string": ("pattern", "minLength", "maxLength", "format"),
    "array": ("items", "minItems", "maxItems"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
}
NULL: Schema = {"type": "null"}
NO: Schema = {"const": False}
YES: Schema = {"const": True}
TEXT: Schema = {"type": "string"}


def fields(limits: Limits) -> dict[str, dict[str, Schema]]:
    """Constraints added to types, by schema and field."""
    key, topic = text(limits.key, KEY), text(limits.topic, TOPIC)
    tenant, link = text(limits.key, TENANT), text(limits.url)
    editable = {
        "title": text(limits.title, NOT_BLANK),
        "body": text(limits.body),
        "action_url": link,
        "action_text": text(limits.title),
        "icon": link,
        "expires_at": TIME,
        "actions": {"maxItems": MAX_ACTIONS},
    }
    draft = {
        "to": key | list_of(limits.to, key, least=1),
        "type": text(limits.type) | {"minLength": 1},
        "actor": text(limits.title),
        "tags": list_of(limits.tags, text(limits.tag) | {"minLength": 1}),
        "group": text(limits.group),
        "channels": {"minItems": 1, "maxItems": len(CHANNELS)},
        "idempotency_key": key,
    }
    return {
        "Draft": editable | draft | {"tenant": text(limits.key, KEY)},
        "Correction": editable | {"tenant": tenant},
        "Actor": {"id": text(limits.key), "name": text(limits.title), "avatar": link},
        "Audience": {"topic": topic, "role": topic, "tenant": text(limits.key, KEY)},
        "EventDraft": {
            "name": text(limits.event_name) | {"minLength": 1},
            "topic": topic,
            "topics": list_of(limits.to, topic, least=1),
            "recipient": key,
            "tenant": tenant,
        },
        "RecipientFields": {
            "name": text(limits.title),
            "email": text(EMAIL),
            "phone": text(PHONE),
            "locale": text(LABEL),
            "timezone": text(LABEL),
            "roles": list_of(ROLES, text(limits.topic - len("role."), TOPIC)),
            "tenant": tenant,
        },
        "TenantFields": {"name": text(limits.title)},
        "TokenRequest": {
            "recipient": key,
            "tenant": tenant,
            "ttl": {"minimum": 1, "maximum": MAX_TTL_SECONDS, "pattern": f"^{DURATION.pattern}$", "maxLength": 20},
            "topics": list_of(PATTERNS, text(limits.topic, PATTERN)),
            "publish": list_of(PATTERNS, text(limits.topic, PATTERN)),
            "roles": list_of(PATTERNS, text(limits.topic, PATTERN)),
            "name": text(limits.title),
        },
        "KeyRequest": {"name": key, "scopes": {"minItems": 1}},
        "Selection": {"ids": list_of(limits.ids, {"type": "string"})},
        "SelectionFilter": {"type": text(limits.type), "tag": text(limits.tag)},
        "SnoozeRequest": {"ids": list_of(limits.ids, {"type": "string"}), "until": TIME_OR_BACK},
        "ActionButton": {
            "key": {"pattern": f"^{ACTION_KEY.pattern}$"},
            "label": text(limits.title, NOT_BLANK),
            "url": link,
            "call": text(limits.event_name) | {"minLength": 1},
        },
        "SetupRequest": {
            "code": text(MAX_NAME),
            "name": {"pattern": f"^{NAME.pattern}$"},
            "password": text(MAX_LENGTH) | {"minLength": MIN_LENGTH},
        },
        "SignInRequest": {"name": text(MAX_NAME), "password": text(MAX_LENGTH), "code": text(MAX_NAME)},
        "PasswordCheck": {"password": text(MAX_LENGTH)},
        "MfaCode": {"code": text(MAX_NAME)},
        "PasskeyCreation": {"name": text(passkeys.MAX_NAME)},
        "ProviderSignIn": {"return_path": text(MAX_RETURN_PATH, f"^{RETURN_PATH.pattern}$")},
    }


def alternatives() -> dict[str, Schema]:
    """Constraints between several fields of a schema.

    Expressed with `if` and `not`: code generators interpret `oneOf` and `anyOf` as different types and lose the
    fields."""
    return {
        "Patch": {
            "not": {
                "anyOf": [
                    {"properties": {"seen": NO, "read": YES}, "required": ["seen", "read"]},
                    {"properties": {"seen": NULL, "read": NULL, "archived": NULL}},
                ]
            }
        },
        "Selection": _one_of(_only("all", YES, ids=NULL), _only("ids", {"type": "array"}, of=NULL)),
        "ActionButton": _one_of(_only("url", TEXT, call=NULL), _only("call", TEXT)),
        "EventDraft": _one_of(
            _only("topic", TEXT, topics=NULL, recipient=NULL),
            _only("topics", {"type": "array"}, recipient=NULL),
            _only("recipient", TEXT),
        ),
        "Audience": _one_of(
            _only("all", YES, topic=NULL, role=NULL),
            _only("topic", TEXT, role=NULL),
            _only("role", TEXT),
            _only("tenant", TEXT),
        ),
    }


def _only(field: str, value: Schema, **others: Schema) -> Schema:
    """If the field is present, the others must match."""
    return {"if": {"properties": {field: value}, "required": [field]}, "then": {"properties": others}}


def _one_of(first: Schema, *others: Schema) -> Schema:
    """Apply the first alternative that has its field present. One must be."""
    if others:
        return first | {"else": _one_of(*others)}
    schema: Schema = first["if"]
    return schema | {"properties": schema["properties"] | first["then"]["properties"]}


def text(most: int, pattern: str = PLAIN) -> Schema:
    """Schema of a text with at most `most` characters (0: no limit)."""
    return {"pattern": pattern} | ({"maxLength": most} if most else {})


def list_of(most: int, each: Schema, least: int = 0) -> Schema:
    """Schema of a list with at most `most` elements (0: no limit)."""
    return {"items": {"type": "string"} | each, "minItems": least} | ({"maxItems": most} if most else {})


def parameters(limits: Limits) -> dict[str, Schema]:
    """Constraints of path and query parameters, by name."""
    return {
        "key": text(limits.key, KEY),
        "recipient": text(limits.key, KEY),
        "topic": text(limits.topic, TOPIC),
        "tenant": text(limits.key, TENANT_OR_DEFAULT),
        "before": {"pattern": ID},
    }


# The paths of objects whose keys have the restricted form of `objects.checked_key`.
OBJECT_PATHS = ("/v1/providers/", "/v1/schedules/", "/v1/templates/", "/v1/workflows/")


def object_key(path: str) -> Schema | None:
    """Constraint of the parameter `key` in the path of an object with a restricted key; None for other paths."""
    return text(MAX_KEY, OBJECT_KEY) if path.startswith(OBJECT_PATHS) else None


def restrict(schema: Schema, bound: Schema) -> Schema:
    """Add a constraint to a field's schema: to the alternatives that have the same type."""
    if "anyOf" in schema:
        return schema | {"anyOf": [restrict(one, bound) for one in schema["anyOf"]]}
    names = AUDIENCE_FIELDS.get(schema.get("type", ""), ())
    return schema | {name: value for name, value in bound.items() if name in names}
