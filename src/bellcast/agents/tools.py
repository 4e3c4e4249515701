"""The tools of agents. Each is a request of the REST API, with its rights and limits; none sends, deletes or reads
secrets."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from bellcast.kernel.errors import Invalid
from bellcast.kernel.identities import KeyScope
from bellcast.workflows.types import MAX_RECIPIENTS

# Maximum failures that one call retries.
MAX_RETRIED = 100
Arguments = Mapping[str, Any]


class ToolRequest(Struct, frozen=True):
    """A request of the REST API. Parameters that are None are absent. `names` are those of arguments by other names of fields;
    an error in any other field of `body` is an error within the argument `below`, if that is set."""

    method: str
    path: str
    query: Mapping[str, Any] = {}
    body: Any = None
    names: Mapping[str, str] = {}
    below: str = ""


class Tool(Struct, frozen=True, kw_only=True):
    """A tool: who may call it, its parameters as JSON Schema, and its request. A tool that writes has two: `preview` returns
    what would happen, and its response is the state that a confirmation is valid for, with what `replaced` reads, if it exists."""

    name: str
    title: str
    scope: KeyScope
    text: str
    parameters: Mapping[str, Any] = {}
    required: tuple[str, ...] = ()
    request: Callable[[Arguments], ToolRequest] | None = None
    preview: Callable[[Arguments], ToolRequest] | None = None
    replaced: Callable[[Arguments], ToolRequest] | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        more = {"confirm": CONFIRM} if self.preview is not None else {"after": AFTER}
        return {
            "type": "object",
            "properties": {**more, **self.parameters},
            "required": list(self.required),
            "additionalProperties": False,
        }


TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
TIME = {"type": "string", "format": "date-time", "maxLength": 40}
TENANT = {"tenant": {**TEXT, "description": "The tenant's key. Default: the default tenant."}}
AFTER = {"type": "string", "maxLength": 500, "description": "The `next` of the previous answer."}
PAGE = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Maximum number of items. Default: 20."},
}
RANGE = {"from": TIME, "to": TIME}
CONFIRM = {
    "type": "string",
    "maxLength": 200,
    "description": "The `confirm` of the answer that says what would happen. Without it, nothing happens.",
}
CHANNEL = {"enum": ["chat", "email", "inbox", "push", "sms"]}


def _path(*segments: Any) -> str:
    return "/v1/" + "/".join(quote(str(one), safe="") for one in segments)


def _listed(kind: str, key: str) -> Callable[[Arguments], ToolRequest]:
    """Return a function that reads one object if its key is given, else the list."""

    def request(arguments: Arguments) -> ToolRequest:
        if key in arguments:
            query = _only(arguments, "tenant", "version")
            return ToolRequest("GET", _path(kind, arguments[key]), query, names={"key": key})
        more = {name: one for name, one in arguments.items() if name != "version"}
        return ToolRequest("GET", _path(kind), {"limit": 20, **more})

    return request


def _only(arguments: Arguments, *names: str) -> dict[str, Any]:
    return {name: arguments[name] for name in names if name in arguments}


def _search(arguments: Arguments) -> ToolRequest:
    named = {"recipients": {"prefix": arguments["text"]}, "notifications": {"recipient": arguments["text"]}}
    kind = arguments.get("in", "recipients")
    query = {"limit": 20, **_only(arguments, "tenant", "limit", "after"), **named[kind]}
    return ToolRequest("GET", _path(kind), query, names=dict.fromkeys(named[kind], "text"))


def _failures(arguments: Arguments) -> ToolRequest:
    if arguments.get("by_cause"):
        filters = {key: one for key, one in arguments.items() if key not in ("by_cause", "limit", "after")}
        return ToolRequest("GET", "/v1/failures/causes", filters)
    return ToolRequest("GET", "/v1/failures", {"limit": 20, **{k: v for k, v in arguments.items() if k != "by_cause"}})


def _retry(arguments: Arguments, **more: Any) -> ToolRequest:
    return ToolRequest("POST", "/v1/replays", {**_only(arguments, "tenant"), **more}, {"ids": arguments["ids"]})


def _cancel(arguments: Arguments) -> ToolRequest:
    if "run" not in arguments and "workflow" not in arguments:
        raise Invalid.of("run", "is missing: name a run, or a workflow and its cancel_key")
    if "run" in arguments:
        return ToolRequest("DELETE", _path("runs", arguments["run"]), _only(arguments, "tenant"))
    path = _path("workflows", arguments.get("workflow", ""), "cancel")
    body = _only(arguments, "cancel_key", "to")
    return ToolRequest("POST", path, _only(arguments, "tenant"), body, names={"key": "workflow"})


def _cancelled(arguments: Arguments) -> ToolRequest:
    if "run" in arguments:
        return ToolRequest("GET", _path("runs", arguments["run"]), _only(arguments, "tenant"))
    planned = _cancel(arguments)
    return replace(planned, query={**planned.query, "dry_run": "true"})


def _current_draft(arguments: Arguments) -> ToolRequest:
    return ToolRequest("GET", _path(_kind(arguments), arguments["key"], "draft"), _only(arguments, "tenant"))


def _drafted(arguments: Arguments) -> ToolRequest:
    query = {**_only(arguments, "tenant"), "dry_run": "true"}
    own = {name: name for name in ("key", "tenant")}
    path = _path(_kind(arguments), arguments["key"])
    return ToolRequest("PUT", path, query, arguments["values"], names=own, below="values")


def _kind(arguments: Arguments) -> str:
    return "templates" if arguments.get("kind") == "template" else "workflows"


TOOLS = (
    Tool(
        name="explain",
        title="Explain a delivery",
        scope="read",
        text="Say why a recipient got a notification, or did not: each channel's decision with its reason, and what to change. "
        "Without notification, run or type: about the last notification and the last day.",
        parameters={
            "recipient": TEXT,
            **dict.fromkeys(("notification", "run", "type"), TEXT),
            "channel": CHANNEL,
            "since": TIME,
            **TENANT,
        },
        required=("recipient",),
        request=lambda arguments: ToolRequest("GET", "/v1/explain", arguments),
    ),
    Tool(
        name="search",
        title="Find recipients or notifications",
        scope="read",
        text="Find recipients by the beginning of their key or name, or the notifications of a recipient's key.",
        parameters={"text": TEXT, "in": {"enum": ["recipients", "notifications"]}, **PAGE, **TENANT},
        required=("text",),
        request=_search,
    ),
    Tool(
        name="timeline",
        title="Read a notification",
        scope="read",
        text="Read a notification with everything that happened to it: channels, messages, attempts, seen and read.",
        parameters={"notification": TEXT, **TENANT},
        required=("notification",),
        request=_listed("notifications", "notification"),
    ),
    Tool(
        name="failures",
        title="List failures",
        scope="read",
        text="List messages that failed or bounced, failed runs and dead jobs, newest first; with by_cause, count them by cause.",
        parameters={
            "by_cause": {"type": "boolean"},
            "kind": {"enum": ["job", "message", "run"]},
            "channel": {"enum": ["chat", "email", "push", "sms"]},
            **dict.fromkeys(("provider", "workflow", "cause"), TEXT),
            **RANGE,
            **PAGE,
            **TENANT,
        },
        request=_failures,
    ),
    Tool(
        name="runs",
        title="List or read runs",
        scope="read",
        text="Read a run of a workflow with the state of its steps, or list runs by workflow, recipient or state, newest first.",
        parameters={
            **dict.fromkeys(("run", "workflow", "recipient"), TEXT),
            "state": {
                "enum": ["cancelled", "completed", "failed", "merged", "paused", "running", "throttled", "waiting"]
            },
            **RANGE,
            **PAGE,
            **TENANT,
        },
        request=_listed("runs", "run"),
    ),
    Tool(
        name="recipient",
        title="Read a recipient",
        scope="read",
        text="Read a recipient's record with the counters of the inbox. Addresses are masked.",
        parameters={"recipient": TEXT, **TENANT},
        required=("recipient",),
        request=_listed("recipients", "recipient"),
    ),
    Tool(
        name="workflow",
        title="List or read workflows",
        scope="read",
        text="Read the definition of a workflow by its key, or list all.",
        parameters={"key": TEXT, "version": {"type": "integer", "minimum": 1}, **PAGE, **TENANT},
        request=_listed("workflows", "key"),
    ),
    Tool(
        name="template",
        title="List or read templates",
        scope="read",
        text="Read a template by its key, or list all.",
        parameters={"key": TEXT, "version": {"type": "integer", "minimum": 1}, **PAGE, **TENANT},
        request=_listed("templates", "key"),
    ),
    Tool(
        name="simulate",
        title="Simulate a workflow",
        scope="read",
        text="Show what a workflow would do for recipients, and when: conditions, decisions with their reasons, content. Nothing is "
        "sent. Without values, its draft, else its current version.",
        parameters={
            "key": TEXT,
            "to": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_RECIPIENTS},
            "values": {"type": "object", "description": "A definition that is not saved: type, data, note, steps."},
            "data": {"type": "object"},
            "at": TIME,
            "events": {
                "type": "array",
                "items": {"type": "object"},
                "description": 'What happens meanwhile: {"step": "bell", "event": "seen", "after": "10m"} or {"name", "data", "after"}.',
            },
            "results": {"type": "object", "description": "What http and python steps return, by step."},
            **TENANT,
        },
        required=("key", "to"),
        request=lambda arguments: ToolRequest(
            "POST",
            _path("workflows", arguments["key"], "simulate"),
            _only(arguments, "tenant"),
            {name: one for name, one in arguments.items() if name not in ("key", "tenant")},
        ),
    ),
    Tool(
        name="docs",
        title="Search the documentation",
        scope="read",
        text="Find the sections of Bellcast's documentation that contain all words.",
        parameters={"text": TEXT},
        required=("text",),
    ),
    Tool(
        name="health",
        title="Find problems of the server",
        scope="observe",
        text="Run the checks of `bellcast doctor` on the server: what is wrong, and how to repair it.",
        request=lambda _: ToolRequest("POST", "/v1/doctor"),
    ),
    Tool(
        name="stats",
        title="Numbers over time",
        scope="observe",
        text="Requests, refusals, failures, sends, deliveries, connections, latencies and queue age, in steps of a length.",
        parameters={"step": {"enum": ["1m", "15m", "1h", "1d"]}, **RANGE, **TENANT},
        request=lambda arguments: ToolRequest("GET", "/v1/stats/series", {"step": "15m", **arguments}),
    ),
    Tool(
        name="retry",
        title="Retry failures",
        scope="manage",
        text="Retry failed messages, runs and jobs by their ids.",
        parameters={"ids": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_RETRIED}, **TENANT},
        required=("ids",),
        request=_retry,
        preview=lambda arguments: _retry(arguments, dry_run="true"),
    ),
    Tool(
        name="cancel",
        title="Cancel runs",
        scope="manage",
        text="Cancel a run by its id, or the runs of a workflow that were triggered with a cancel_key, optionally of one recipient.",
        parameters={**dict.fromkeys(("run", "workflow", "cancel_key", "to"), TEXT), **TENANT},
        request=_cancel,
        preview=_cancelled,
    ),
    Tool(
        name="draft",
        title="Save a draft",
        scope="manage",
        text="Save a draft of a workflow or a template for an operator to review. A draft is never executed or sent, and only "
        "operators publish it.",
        parameters={
            "kind": {"enum": ["workflow", "template"], "description": "Default: workflow."},
            "key": TEXT,
            "values": {
                "type": "object",
                "description": "The definition: type, data, note and steps of a workflow, or inbox, email, sms, push, chat and "
                "translations of a template.",
            },
            "base": {"type": ["integer", "null"], "description": "The current version; null for a new one."},
            **TENANT,
        },
        required=("key", "values", "base"),
        request=lambda arguments: replace(
            _current_draft(arguments), method="PUT", body=_only(arguments, "values", "base")
        ),
        preview=_drafted,
        replaced=_current_draft,
    ),
)
BY_NAME = {tool.name: tool for tool in TOOLS}
