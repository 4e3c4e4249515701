"""Constraints of fields beyond their types, for the OpenAPI document. The rules themselves are in
`model.validation`."""

from bellcast.auth.http import PATTERNS
from bellcast.auth.tokens import MAX_TTL_SECONDS
from bellcast.channels.provider_rate import MIN_RATE
from bellcast.channels.types import EXTERNAL_CHANNELS
from bellcast.inbox.types.drafts import ACTION_KEY, MAX_ACTIONS, MAX_TEMPLATE_KEY
from bellcast.inbox.types.notifications import GENERAL
from bellcast.kernel import local_times, times
from bellcast.kernel.brokers.history_rules import EVENT_ID
from bellcast.kernel.field_limits import KEY_PATTERN as KEY
from bellcast.kernel.field_limits import PLAIN, Schema, list_of, text
from bellcast.kernel.field_limits import TENANT_PATTERN as TENANT
from bellcast.kernel.field_limits import TOPIC_PATTERN as TOPIC
from bellcast.kernel.limits import Limits
from bellcast.kernel.times import DURATION
from bellcast.operators import passkeys
from bellcast.operators.console_sessions import NAME
from bellcast.operators.http.account import MAX_NAME
from bellcast.operators.oidc_sign_in import MAX_RETURN_PATH, RETURN_PATH
from bellcast.operators.passwords import MAX_LENGTH, MIN_LENGTH
from bellcast.preferences.http import preferences
from bellcast.preferences.types import CHANNELS
from bellcast.providers import http as providers
from bellcast.rest import tenants
from bellcast.rest.objects import MAX_KEY
from bellcast.templates.http import templates
from bellcast.webhooks import http as webhooks

OBJECT_KEY = r"^[A-Za-z0-9_.-]+$"
# In a query an empty value is the default tenant. Lists accept `*`, which is every tenant.
TENANT_OR_DEFAULT = r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]*$"
ANY_TENANT = r"^[^\x00-\x1f\x7f-\x9f]*$"
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
PATTERN = r"^[A-Za-z0-9_=@,.;*-]+$"
# Filters compare any text, or each text of a list.
ANY_TEXT = {"pattern": PLAIN, "items": {"pattern": PLAIN}}
NOT_BLANK = r"^[^\x00]*[^\x00\s][^\x00]*$"
TIME = {"format": "date-time"}
TIME_OR_BACK = {"pattern": r"^(back|[0-9]{4}-[0-9]{2}-[0-9]{2}T.+)$", "format": "time-or-back"}
TIME_OF_DAY = {"pattern": f"^{local_times.TIME_OF_DAY.pattern}$"}
KEYWORDS = {
    "string": ("pattern", "minLength", "maxLength", "format", "enum"),
    "array": ("minItems", "maxItems", "uniqueItems"),
    "object": ("propertyNames", "minProperties", "maxProperties"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum", "exclusiveMinimum"),
}
# Keywords that contain the schema of the elements of a list or the values of an object.
PARTS = ("items", "additionalProperties")
# Preferences have a switch per channel.
CHANNEL_NAMES: Schema = {"propertyNames": {"enum": [*CHANNELS]}}
CHANNEL_LIST: Schema = {"items": {"enum": [*CHANNELS]}, "minItems": 1, "maxItems": len(CHANNELS)}
NULL: Schema = {"type": "null"}
# Present, and not null.
GIVEN: Schema = {"not": NULL}
NO: Schema = {"const": False}
YES: Schema = {"const": True}
TEXT: Schema = {"type": "string"}
LIST: Schema = {"type": "array", "items": {}}


def fields(limits: Limits) -> dict[str, dict[str, Schema]]:
    """Constraints added to types, by schema and field."""
    return _sends(limits) | _recipients(limits) | _access(limits) | _workflows(limits) | _definitions(limits)


def _sends(limits: Limits) -> dict[str, dict[str, Schema]]:
    key, topic, tenant, link = _key(limits), text(limits.topic, TOPIC), text(limits.key, TENANT), text(limits.url)
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
        "to": _to(limits),
        "type": text(limits.type) | {"minLength": 1},
        "actor": text(limits.title),
        "tags": list_of(limits.tags, text(limits.tag) | {"minLength": 1}),
        "group": text(limits.group),
        "channels": CHANNEL_LIST,
        "template": text(MAX_TEMPLATE_KEY),
        "idempotency_key": key,
        "tenant": text(limits.key, ANY_TENANT),
    }
    return {
        "Draft": editable | draft,
        "ImportedDraft": editable | draft,
        "Correction": editable | {"tenant": tenant},
        "Actor": {"id": text(limits.key), "name": text(limits.title), "avatar": link},
        "Audience": {"topic": topic, "role": topic, "tenant": text(limits.key, KEY)},
        "EventDraft": {
            "name": text(limits.event_name) | {"minLength": 1},
            "topic": topic,
            "topics": list_of(limits.to, topic, least=1),
            "recipient": key,
            "except": text(limits.key),
            "tenant": tenant,
        },
        "ActionButton": {
            "key": {"pattern": f"^{ACTION_KEY.pattern}$"},
            "label": text(limits.title, NOT_BLANK),
            "url": link,
            "call": text(limits.event_name) | {"minLength": 1},
        },
        "InboxContent": {"actions": {"maxItems": MAX_ACTIONS}},
        "ChannelRequest": {"after": duration(0, times.MAX_AHEAD_SECONDS)},
    }


def _recipients(limits: Limits) -> dict[str, dict[str, Schema]]:
    tenant = text(limits.key, TENANT)
    return {
        "TenantFields": {"name": text(limits.title)},
        "Selection": {"ids": list_of(limits.ids, {"type": "string"})},
        "SelectionFilter": {"type": text(limits.type), "tag": text(limits.tag)},
        "SnoozeRequest": {
            "ids": list_of(limits.ids, {"type": "string"}),
            "until": TIME_OR_BACK,
            "for": duration(0, times.MAX_AHEAD_SECONDS) | {"exclusiveMinimum": 0},
        },
        "SubscribeBody": {"tenant": tenant},
        "Preferences": _preferences(limits),
        "QuietHours": {"start": TIME_OF_DAY, "end": TIME_OF_DAY},
        "LinkRequest": {"ttl": duration(1, times.MAX_AHEAD_SECONDS)},
    }


def _access(limits: Limits) -> dict[str, dict[str, Schema]]:
    key, tenant = _key(limits), text(limits.key, TENANT)
    bound = list_of(tenants.MAX_BOUND, tenant, least=1) | {"uniqueItems": True}
    operator, password = {"pattern": f"^{NAME.pattern}$"}, {"minLength": MIN_LENGTH, "maxLength": MAX_LENGTH}
    return {
        "TokenRequest": {
            "recipient": key,
            "tenant": tenant,
            "ttl": duration(1, MAX_TTL_SECONDS),
            "topics": list_of(PATTERNS, text(limits.topic, PATTERN)),
            "publish": list_of(PATTERNS, text(limits.topic, PATTERN)),
            "roles": list_of(PATTERNS, text(limits.topic - len("role."), TOPIC)),
            "name": text(limits.title),
        },
        "KeyRequest": {"name": key, "scopes": {"minItems": 1}, "tenants": bound},
        "SetupRequest": {"code": text(MAX_NAME), "name": operator, "password": password},
        "OperatorRequest": {"name": operator, "password": password, "tenants": bound},
        "OperatorChange": {"password": password, "tenants": bound},
        "SignInRequest": {"name": text(MAX_NAME), "password": text(MAX_LENGTH), "code": text(MAX_NAME)},
        "PasswordCheck": {"password": text(MAX_LENGTH)},
        "MfaCode": {"code": text(MAX_NAME)},
        "PasskeyCreation": {"name": text(passkeys.MAX_NAME)},
        "ProviderSignIn": {"return_path": text(MAX_RETURN_PATH, f"^{RETURN_PATH.pattern}$")},
        "MailboxRequest": {"ttl": duration(1, times.MAX_AHEAD_SECONDS)},
    }


def _workflows(limits: Limits) -> dict[str, dict[str, Schema]]:
    key, to, tenant = _key(limits), _to(limits), text(limits.key, TENANT)
    return {
        "TriggerDraft": {
            "to": to,
            "actor": text(limits.title),
            "cancel_key": key,
            "tenant": tenant,
            "idempotency_key": key,
        },
        "CancelRequest": {"cancel_key": key, "to": to, "tenant": tenant},
        "WorkflowChange": {"tenant": tenant},
        "WorkflowDefinition": {"steps": {"minItems": 1}},
        "Schedule": {"to": to},
        "EventSource": {"event": text(limits.event_name) | {"minLength": 1}},
        "RetryRequest": {"tenant": tenant},
        "StartReplayRequest": {"tenant": tenant},
        "ClockAdvance": {"advance": duration(0, times.MAX_AHEAD_SECONDS)},
    }


def _definitions(limits: Limits) -> dict[str, dict[str, Schema]]:
    key, link = _key(limits), text(limits.url)
    hook = {"url": link, "events": list_of(webhooks.MAX_PATTERNS, {"enum": sorted(webhooks.PATTERNS)}, least=1)}
    return {
        "WebhookRequest": hook,
        "WebhookPatch": hook,
        "PreviewRequest": {"recipient": key, "locale": text(templates.MAX_LOCALE)},
        "TestRequest": {"to": key},
        "NotificationType": {
            "name": text(limits.title),
            "channels": CHANNEL_LIST,
            "required": {"items": {"enum": [*CHANNELS]}},
            "defaults": CHANNEL_NAMES,
        },
        "Template": {"translations": {"propertyNames": text(templates.MAX_LOCALE) | {"minLength": 1}}},
        "ProviderFields": {
            "url": text(providers.MAX_URL),
            "rate": {"minimum": MIN_RATE, "maximum": providers.MAX_RATE},
            "concurrency": {"minimum": 1, "maximum": providers.MAX_CONCURRENCY},
            "timeout": duration(0, providers.MAX_TIMEOUT) | {"exclusiveMinimum": 0},
        },
    }


def _key(limits: Limits) -> Schema:
    return text(limits.key, KEY) | {"minLength": 1}


def _to(limits: Limits) -> Schema:
    return _key(limits) | list_of(limits.to, _key(limits), least=1)


def _preferences(limits: Limits) -> dict[str, Schema]:
    def named(most: int, each: Schema) -> Schema:
        names = text(most) | {"minLength": 1}
        return {"propertyNames": names, "maxProperties": preferences.MAX_ENTRIES, "additionalProperties": each}

    return {
        "channels": CHANNEL_NAMES,
        "types": named(limits.type, CHANNEL_NAMES),
        "workflows": named(MAX_KEY, CHANNEL_NAMES),
        "digest": named(limits.type, {}),
        "digest_at": TIME_OF_DAY,
        "muted": named(limits.type, TIME),
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
        "Selection": _one_of(_only("all", YES, ids=NULL), _only("ids", LIST, of=NULL)),
        "SelectionFilter": {"not": {"properties": {"type": NULL, "view": NULL, "tag": NULL}}},
        "ActionButton": _one_of(_only("url", TEXT, call=NULL), _only("call", TEXT)),
        "SnoozeRequest": _one_of(_only("until", TEXT, **{"for": NULL}), _only("for", GIVEN)),
        "StartReplayRequest": _one_of(_only("ids", LIST, filter=NULL), _only("filter", {"type": "object"})),
        "Schedule": _one_of(_only("cron", TEXT, at=NULL), _only("at", TEXT)) | {"not": {"anyOf": _CONTENT}},
        "EventSource": {"not": {"anyOf": _CONTENT}},
        "OperatorRequest": {
            "if": {"properties": {"role": {"const": "owner"}}, "required": ["role"]},
            "then": {"properties": {"tenants": NULL}},
        },
        "OperatorChange": {"not": {"properties": {"role": NULL, "password": NULL}, "not": {"required": ["tenants"]}}},
        "PushRegistration": {
            "if": {"properties": {"kind": {"enum": ["apns", "fcm"]}}, "required": ["kind"]},
            "then": {"properties": {"token": TEXT, "endpoint": NULL, "keys": NULL}, "required": ["token"]},
            "else": {
                "properties": {"token": NULL, "endpoint": TEXT, "keys": {"type": "object"}},
                "required": ["endpoint", "keys"],
            },
        },
        # A title is needed without a template, and for the general type, whose template has none.
        "Draft": {
            "if": {"properties": {"template": NULL, "type": {"const": GENERAL}}},
            "then": {"required": ["title"]},
        },
        "Template": {"not": {"properties": dict.fromkeys(CHANNELS, NULL) | {"translations": {"maxProperties": 0}}}},
        "EventDraft": _one_of(
            _only("topic", TEXT, topics=NULL, recipient=NULL),
            _only("topics", LIST, recipient=NULL),
            _only("recipient", TEXT),
        ),
        "Audience": _one_of(
            _only("all", YES, topic=NULL, role=NULL),
            _only("topic", TEXT, role=NULL),
            _only("role", TEXT),
            _only("tenant", TEXT),
        ),
    }


# Invalid combinations in a schedule or an event source: both or neither of its two contents, a workflow without
# recipients, or recipients and data beside a notification, which has its own.
_CONTENT: list[Schema] = [
    {"properties": {"workflow": GIVEN, "notification": GIVEN}, "required": ["workflow", "notification"]},
    {"properties": {"workflow": NULL, "notification": NULL}},
    {"properties": {"workflow": GIVEN, "to": NULL}, "required": ["workflow"]},
    {"properties": {"notification": GIVEN, "to": GIVEN}, "required": ["notification", "to"]},
    {"properties": {"notification": GIVEN, "data": {"minProperties": 1}}, "required": ["notification", "data"]},
]


def merge_patch(schema: Schema) -> Schema:
    """Schema of a change of a document (RFC 7396): a null removes a field, at any depth."""
    fields = {name: _or_null(field) for name, field in schema["properties"].items()}
    return schema | {"properties": fields}


def preferences_change(components: dict[str, Schema]) -> Schema:
    """Schema of a change of preferences: each of the quiet hours alone suffices, if the other one is stored."""
    hours, whole = components["QuietHours"], components["Preferences"]
    change = {"anyOf": [NO, hours | {"required": []}, NULL]}
    return whole | {"title": "PreferencesChange", "properties": whole["properties"] | {"quiet_hours": change}}


def _or_null(schema: Schema) -> Schema:
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        schema = schema | {"additionalProperties": _or_null(inner)}
    parts = schema.get("anyOf", [schema])
    return schema if NULL in parts else {"anyOf": [*parts, NULL]}


def _only(field: str, value: Schema, **others: Schema) -> Schema:
    """Return a constraint: if the field is present, the others must match."""
    return {"if": {"properties": {field: value}, "required": [field]}, "then": {"properties": others}}


def _one_of(first: Schema, *others: Schema) -> Schema:
    """Return a constraint: the first alternative whose field is present applies, and one of these fields must be
    present."""
    if others:
        return first | {"else": _one_of(*others)}
    schema: Schema = first["if"]
    return schema | {"properties": schema["properties"] | first["then"]["properties"]}


def duration(least: float, most: float) -> Schema:
    """Return the schema of a duration: a number of seconds, or a text with a unit, to which the format applies."""
    return {"minimum": least, "maximum": most, "pattern": f"^{DURATION.pattern}$", "format": "seconds-or-unit"}


def path_parameter(path: str, name: str, limits: Limits) -> Schema:
    """Constraints of a parameter of a path."""
    if name == "key" and path.startswith(OBJECT_PATHS):
        return text(MAX_KEY, OBJECT_KEY)
    if name == "key" and path.startswith("/v1/types/"):
        return text(limits.type)
    if name == "key" and path.startswith("/v1/tenants/"):
        return text(limits.key, TENANT)
    if name == "channel":
        return {"enum": [*EXTERNAL_CHANNELS]}
    return {"topic": text(limits.topic, TOPIC)}.get(name, text(limits.key, KEY) if name in ("key", "recipient") else {})


# The paths of objects whose keys have the restricted form of `objects.checked_key`.
OBJECT_PATHS = ("/v1/providers/", "/v1/schedules/", "/v1/sources/", "/v1/templates/", "/v1/workflows/")


def query_parameters(limits: Limits) -> dict[str, dict[str, Schema]]:
    """Constraints of query parameters beyond their types, by the type of the query."""
    return {
        "ExplainQuery": {"recipient": text(limits.key, KEY), "type": text(limits.type)},
        "InboxQuery": {"before": {"pattern": ID}},
        "EventQuery": {"after": {"pattern": f"^{EVENT_ID.pattern}$"}},
        "HtmlQuery": {"locale": text(templates.MAX_LOCALE)},
    }


# Paths of operations that do not list objects by tenant, but whose tenant may be `*`.
EVERY_TENANT_PATHS = ("/v1/audit", "/v1/stats", "/v1/tenants", "/v1/webhooks")


def tenant_parameter(path: str, limits: Limits, *, is_about_all: bool) -> Schema:
    """Constraints of the query parameter `tenant` of an operation, which may be about all tenants."""
    accepts_every = is_about_all or path.startswith(EVERY_TENANT_PATHS)
    return text(limits.key, ANY_TENANT if accepts_every else TENANT_OR_DEFAULT)


def header(name: str, limits: Limits) -> Schema:
    """Constraints of a header of requests."""
    return text(limits.key, KEY) | {"minLength": 1} if name == "Idempotency-Key" else {}


def restrict(schema: Schema, bound: Schema) -> Schema:
    """Add a constraint to a field's schema: to the alternatives that have the same type, and to the parts of lists and objects."""
    if "anyOf" in schema:
        return schema | {"anyOf": [restrict(one, bound) for one in schema["anyOf"]]}
    names = KEYWORDS.get(schema.get("type", ""), ())
    parts = {name: restrict(schema[name], bound[name]) for name in PARTS if name in schema and name in bound}
    return schema | {name: value for name, value in bound.items() if name in names} | parts
