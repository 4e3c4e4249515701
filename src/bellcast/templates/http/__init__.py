"""Templates: content with variables, per channel and language."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.channels import previews
from bellcast.channels.catalog import Catalog, no_template
from bellcast.channels.http import HTML_HEADERS, in_scheme
from bellcast.channels.previews import Subject
from bellcast.channels.routing import Router
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import ExternalChannel, PushContent, SimulationCause
from bellcast.documents.store import Documents, ObjectForm, Versions
from bellcast.documents.types import PROJECT
from bellcast.explanations import simulation_causes
from bellcast.kernel import field_limits, validation
from bellcast.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, TemplateFailed
from bellcast.kernel.field_limits import KEY, TENANT_NAME, Limit, shown
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.http import own, sessions
from bellcast.providers.directory import ProviderDirectory
from bellcast.recipients.types import Profile
from bellcast.rest import audit, context, drafts, editor_access, guards, kinds, objects, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.editor_access import EditorClaims
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery
from bellcast.templates import budget, content_checks, email_blocks, email_imports, rendering, variables
from bellcast.templates.email_checks import Finding
from bellcast.templates.types import (
    BASE_LAYOUT,
    MAX_LOCALE,
    PUSH_CUT,
    Parts,
    SmsPreview,
    Template,
    TemplateEmail,
    sms_preview,
)
from bellcast.templates.variables import TemplateVariable
from bellcast.workflows import publish_checks, recent_data, usage
from bellcast.workflows.recent_data import Sample

T = TypeVar("T", bound=Struct)

# What mail programs without rules for a dark scheme do to an e-mail, approximately.
INVERTED = (
    "<style>html{filter:invert(1) hue-rotate(180deg);background:#fff}body{min-height:100vh;margin:0}"
    "img{filter:invert(1) hue-rotate(180deg)}</style>"
)
# Characters; longer request lines are refused by proxies.
MAX_QUERY_DATA = 4096
# For each unknown layout, keys of up to 400 templates are read.
MAX_LAYOUT_ERRORS = 10


async def exists(ctx: ApiContext, tenant: str, key: str) -> bool:
    """Return whether a template with this key applies to the tenant."""
    return await kinds.find(KIND, ctx, tenant, key) is not None


async def errors_of_send(ctx: ApiContext, tenant: str, send: Mapping[str, Any]) -> list[FieldError]:
    """Return errors, below `notification`, for unknown templates that a tenant's send names. Names that contain variables, such
    as `{{ event.data.kind }}`, are not checked."""
    owner = send.get("tenant")
    tenants = {tenant, owner} if isinstance(owner, str) else {tenant}
    return [
        FieldError(f"notification.{field}", await no_template(ctx.engines.db, tenant, name))
        for field, _, name in usage.named_by_send(send)
        if "{" not in name and not any([await exists(ctx, one, name) for one in tenants])
    ]


async def _reference_errors(value: Template, ctx: ApiContext, tenant: str, key: str) -> list[FieldError]:
    """Check the layouts, each once, and return the errors of the first MAX_LAYOUT_ERRORS texts."""
    errors, problems = list[FieldError](), dict[str, str | None]()
    for prefix, parts in (("", value), *((f"translations.{name}.", one) for name, one in value.translations.items())):
        name = None if parts.email is None else parts.email.layout
        if not isinstance(name, str) or name == BASE_LAYOUT:
            continue
        if name == key:
            problems[name] = "must not be the template itself"
        elif name not in problems:
            found = await kinds.find(KIND, ctx, tenant, name)
            if found is None:
                missing = await no_template(ctx.engines.db, tenant, name)
                problems[name] = f"{missing} (expected {BASE_LAYOUT}, null or a template)"
            else:
                problems[name] = rendering.layout_problem(await _decoded(ctx, found[0].body), name)
        if (problem := problems[name]) is not None:
            errors.append(FieldError(f"{prefix}email.layout", problem))
        if len(errors) == MAX_LAYOUT_ERRORS:
            break
    return errors


async def _find_broken(ctx: ApiContext, before: bytes, after: bytes) -> kinds.BrokenUses | None:
    """Return the uses of a template as a layout, if it is no longer one in a language in which it was."""
    lost = rendering.lost_layout(await _decoded(ctx, before), await _decoded(ctx, after))
    if lost is None:
        return None
    reason = f" as a layout, and would have no HTML with {{{{ content }}}}{rendering.in_language(lost)}"
    return kinds.BrokenUses(usage.of_layouts, reason)


async def _obstacles(ctx: ApiContext, tenant: str, key: str, value: Template) -> list[FieldError]:
    return await publish_checks.errors(ctx, tenant, key, await _applied(ctx, tenant, key, value))


KIND = kinds.Kind(
    plural="templates",
    name="template",
    tag="Objects",
    type=Template,
    rules=lambda value, ctx: validation.check(content_checks.errors(value, ctx.limits)),
    complete=email_blocks.compiled,
    source=email_blocks.source,
    check_references=_reference_errors,
    find_uses=usage.of_templates,
    find_broken=_find_broken,
    merge=Template.overridden_by,
    is_open_to_viewers=True,
    form=ObjectForm(is_versioned=True),
    find_effects=publish_checks.template_effects,
    find_obstacles=_obstacles,
    example={
        "inbox": {"title": "New booking by {{ data.client }}"},
        "email": {"subject": "New booking", "html": "<p>{{ data.client }} booked {{ data.when | datetime }}.</p>"},
    },
)


class FindingList(Struct, frozen=True):
    """What the author of a template should see, errors first."""

    findings: list[Finding]


class SampleList(Struct, frozen=True):
    """The last sends that a template could have rendered, newest first."""

    samples: list[Sample]


class PreviewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Variables of a preview, and the recipient and language to render for. `values` are rendered instead of the stored
    template, and with the data of a `sample` instead of `data`."""

    values: Template | None = None
    data: dict[str, Any] = {}
    sample: Annotated[str | None, KEY] = None
    recipient: Annotated[str | None, KEY] = None
    locale: Annotated[str | None, Limit(MAX_LOCALE)] = None


class LookQuery(TenantQuery, frozen=True, kw_only=True):
    """How an e-mail is shown: in a light or a dark scheme, or with `inverted` colors as some mail programs approximate
    one; with its images, which the browser loads, or without."""

    scheme: Literal["light", "dark", "inverted"] | None = None
    images: Literal["off", "on"] = "off"


class DraftLookQuery(LookQuery, frozen=True, kw_only=True):
    """How an e-mail is shown. Nothing is written in any case."""

    dry_run: bool = False


class HtmlQuery(LookQuery, frozen=True, kw_only=True):
    """Variables for a preview as a JSON object, and the language to render for. It has no recipient, because rendering
    a recipient's links needs the scope manage."""

    data: Annotated[str, Meta(max_length=MAX_QUERY_DATA)] = "{}"
    locale: Annotated[str | None, Limit(MAX_LOCALE)] = None


class PushPreview(PushContent, frozen=True, kw_only=True):
    """A rendered push notification. Phones cut its body at about `cut_at` characters."""

    cut_at: int


class TemplatePreview(Parts, frozen=True, kw_only=True):
    """The rendered parts, and the variables that have no value: they would cause a send to be refused. `warnings` are about
    the template; it can be sent nevertheless."""

    sms: SmsPreview | None = None
    push: PushPreview | None = None
    missing: list[str]
    warnings: list[str] | UnsetType = UNSET


class OwnAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The confirmed e-mail of the caller, an operator of the console."""

    me: Annotated[bool, shown({"not": {"const": False}})]


class TestRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel, a recipient or the caller itself, and variables for a test message. `values` are sent instead of the stored
    template, and with the data of a `sample` instead of `data`."""

    channel: ExternalChannel
    to: Annotated[str, KEY] | OwnAddress
    values: Template | None = None
    data: dict[str, Any] = {}
    sample: Annotated[str | None, KEY] = None
    locale: Annotated[str | None, Limit(MAX_LOCALE)] = None


class TestMessage(Struct, frozen=True):
    """The id of the test message; null in a dry run. `simulated` states why it is stored and not sent, or is null."""

    message: str | None
    simulated: SimulationCause | None = None


# Operations below a template. Its texts are compiled in a thread, so a body is read in two steps.
TEMPLATE = Resource("templates", "/{key:str}", lambda request: objects.key_of(request, KIND), tag="Objects")


@TEMPLATE.act(
    "/preview",
    TemplatePreview,
    body=PreviewRequest,
    reads=request_body.json_text,
    refusals=(NotFound, TemplateFailed),
    example={"data": {"client": "Ann"}, "locale": "de"},
    is_recorded=False,
)
async def preview(call: ResourceCall[bytes]) -> Any:
    """Preview a template.

    Renders every part for a recipient, or for an example named Ann, and in a language. Nothing is sent. You can also
    preview `values` that are not stored, within the limits of a write. With `?tenant=`, the tenant's overrides and its `brand` apply."""
    subject = await _subject_of(call.request, call.body)
    parts, missing = await previews.preview(call.ctx[Router], subject)
    found = await budget.in_thread(subject.tenant, content_checks.of_code, subject.template)
    warnings = []
    for one in found:
        place = "html" if one.block is None else f"blocks, {one.block}"
        line = "" if one.line is None else f" line {one.line}:"
        prefix = f"translations.{one.locale}." if one.locale else ""
        warnings.append(f"{prefix}email.{place}:{line} {one.message}")
    if "sms" in parts:
        parts["sms"] |= msgspec.structs.asdict(sms_preview(parts["sms"]["text"]))
    if "push" in parts:
        parts["push"] |= {"cut_at": PUSH_CUT}
    return {"missing": missing} | ({"warnings": warnings} if warnings else {}) | parts


@TEMPLATE.get(str, "/html", query=HtmlQuery, response_types={200: responses.HTML}, refusals=(NotFound, Conflict))
async def html(call: ResourceCall[None]) -> Any:
    """Preview the HTML of a template's e-mail.

    In one language, without a recipient. Pages of this server can show it in a frame. Its scripts do not run, and it
    loads images from other servers only with `images=on`: the browser loads them, never this server."""
    request, query = call.request, request_body.query(call.request, HtmlQuery)
    validation.check(field_limits.errors(query, call.ctx.limits))
    # The JSON object in a query. Raises Invalid.
    try:
        value = msgspec.json.decode(query.data, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Invalid.of("data", "must be a JSON object") from None
    return await _html(request, await _subject(request, PreviewRequest(data=value, locale=query.locale)), query)


@TEMPLATE.act(
    "/html",
    str,
    body=PreviewRequest,
    reads=request_body.json_or_form_text,
    query=DraftLookQuery,
    body_types=("application/json", request_body.FORM),
    response_types={200: responses.HTML},
    refusals=(NotFound, Conflict),
    example={
        "values": {"email": {"subject": "New booking", "html": "<p>Hello {{ data.client }}</p>"}},
        "data": {"client": "Ann"},
    },
    is_recorded=False,
)
async def draft_html(call: ResourceCall[bytes]) -> Any:
    """Preview the HTML of an e-mail that is not stored.

    Send JSON, or a form with the JSON in its field `request`, whose target can be a frame of the page. The response is
    the same as that of `GET`."""
    subject = await _subject_of(call.request, call.body)
    return await _html(call.request, subject, request_body.query(call.request, DraftLookQuery))


class CheckRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is checked: `values` instead of the stored template, with `data` or that of a `sample`. Without both, examples."""

    values: Template | None = None
    data: dict[str, Any] | None = None
    sample: Annotated[str | None, KEY] = None


@TEMPLATE.act(
    "/check",
    FindingList,
    body=CheckRequest,
    is_body_optional=True,
    reads=lambda request: request_body.json_text(request, is_optional=True),
    example={"values": {"email": {"subject": "New booking", "html": "<img src='https://example.com/a.png'>"}}},
    is_recorded=False,
)
async def check(call: ResourceCall[bytes]) -> FindingList:
    """Check a template.

    Missing languages, variables and descriptions of images, wrong links, low contrast, and what mail programs cut or do
    not support (data of Can I email, caniemail.com). Findings with the severity `error` stop its publication."""
    request, ctx, (key,) = call.request, call.ctx, call.key
    body = await _parsed(request, call.body, CHECK)
    subject = await _subject(request, body)
    data = None if body.data is None and body.sample is None else subject.data
    return FindingList(await publish_checks.check(ctx, call.tenant, key, subject.template, data))


# Characters of a source, as of a template: an e-mail of this size is cut by all mail programs.
MAX_SOURCE = 262_144


class ImportRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An e-mail as MJML or as HTML, such as React Email writes."""

    format: email_imports.ImportFormat
    source: Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE)]


class ImportedEmail(Struct, frozen=True):
    """The e-mail of a template, and what was removed or must be corrected."""

    part: TemplateEmail
    findings: list[Finding]


@operation(
    "POST",
    "/v1/templates/import",
    tag="Objects",
    required_scope="manage",
    query=DryRunQuery,
    body=ImportRequest,
    response_types={200: ImportedEmail},
    example={"format": "html", "source": "<h1>New booking</h1><p>{{ data.client }} booked.</p>"},
)
async def import_email(request: ApiRequest) -> ASGIApp:
    """Convert an e-mail of another tool.

    MJML becomes HTML. Scripts, handlers of events, forms, frames, objects, links to style sheets and fonts, `base`, reloads and
    `mj-include` are removed; each is a finding. Nothing is written: save the `part` as a template's `email`."""
    request_body.query(request, DryRunQuery)  # nothing is written in any case
    body = await request_body.body(request, ImportRequest)
    tenant = (guards.caller(request).tenants or (PROJECT,))[0]
    part, findings = await budget.in_thread(tenant, email_imports.part_of, body.format, body.source)
    return responses.json(ImportedEmail(part, findings))


@TEMPLATE.act(
    "/test",
    TestMessage,
    body=TestRequest,
    reads=request_body.json_text,
    status=202,
    refusals=(NotFound, TemplateFailed, Conflict),
    example={"channel": "email", "to": "alice", "data": {"client": "Ann"}},
)
async def test(call: ResourceCall[bytes]) -> TestMessage:
    """Send a test message.

    It is sent to the recipient's address regardless of preferences. `{"me": true}` sends an e-mail to the confirmed address of
    the operator, with `[Test]` before its subject, at most 10 in 10 minutes. A dry run only renders it."""
    request, ctx = call.request, call.ctx
    body = await _parsed(request, call.body, TEST)
    if isinstance(body.to, str) and guards.caller(request).role == editor_access.ROLE:
        raise Forbidden("An editor token sends tests to its own e-mail only.")
    subject = await _subject(request, body, body.to if isinstance(body.to, str) else "")
    profile = None if isinstance(body.to, str) else await _own_profile(request, body.channel)
    message = await previews.message(ctx[Router], subject, body.channel, ctx.engines.new_id(subject.now), profile)
    can_deliver = await ctx[ProviderDirectory].can_deliver(subject.tenant, body.channel)
    simulated = None if can_deliver else (await simulation_causes(ctx, subject.tenant))[body.channel]
    if call.is_dry_run:
        return TestMessage(None, simulated)
    if profile is not None:
        await sessions(request).count_own_test(f"{profile.key} {profile.email}")
    await Messages(ctx.engines.db).add([message])
    ctx.engines.router.wake_jobs()
    return TestMessage(message.id, simulated)


async def _own_profile(request: ApiRequest, channel: ExternalChannel) -> Profile:
    """Return the caller as the recipient of a test. Raises Conflict without a confirmed address."""
    if channel != "email":
        raise Invalid.of("channel", "must be email for a test to yourself")
    who = guards.caller(request)
    claims: EditorClaims | None = request.scope["state"].get(editor_access.CLAIMS)
    if claims is not None:
        if claims.email is None:
            raise Conflict("The app has not named your e-mail, so tests cannot be sent to you.")
        return Profile(key=who.operator or "", name=claims.name, email=claims.email)
    if who.role is None:
        raise Invalid.of("to", "must be a recipient: only operators of the console have an e-mail of their own")
    operator = await own(request)
    if operator.email is None:
        raise Conflict("Confirm your e-mail under Account first: tests are sent to it.")
    return Profile(key=operator.recipient, name=operator.name, email=operator.email)


@TEMPLATE.get(SampleList, "/samples", required_scope="manage", refusals=())
async def recent_samples(call: ResourceCall[None]) -> SampleList:
    """List samples of a template's data.

    The data of the last ten sends of the types, and runs of the workflows, that use the template. Addresses, phone
    numbers, names, secrets and fields that a schema marks as `x-private` are masked."""
    return SampleList(await recent_data.last_sends(call.ctx, call.tenant, *call.key))


@TEMPLATE.get(list[TemplateVariable], "/variables", required_scope="manage")
async def list_variables(call: ResourceCall[None]) -> list[TemplateVariable]:
    """List the variables of a template.

    Those that it reads, those that the schemas of its types and workflows declare, and those of every send. `[]` in a
    path stands for each element of a list."""
    subject = await _subject(call.request, PreviewRequest())
    users = await usage.find_users(call.ctx, call.tenant, *call.key)
    return await budget.in_thread(
        call.tenant, lambda: variables.declared(variables.schema_paths(users), subject.template)
    )


async def embedded_html(request: ApiRequest, text: bytes, ancestors: str) -> ASGIApp:
    """Return the HTML of a preview's body, for a frame of a page with these ancestors. The caller is authorized."""
    return await _html(
        request, await _subject_of(request, text), request_body.query(request, DraftLookQuery), ancestors
    )


async def _html(request: ApiRequest, subject: Subject, look: LookQuery, ancestors: str = "'self'") -> ASGIApp:
    parts, _ = await previews.preview(context.of(request)[Router], subject)
    text = parts.get("email", {}).get("html")
    if not text:
        raise Conflict("Only e-mail templates are available in this form.")
    policy = HTML_HEADERS["content-security-policy"].replace("ancestors 'self'", f"ancestors {ancestors}")
    if look.images == "on":
        policy = policy.replace("img-src data:", "img-src data: https:")
    headers = HTML_HEADERS | {"content-security-policy": policy}
    if look.scheme is not None:
        text = in_scheme(text, "dark" if look.scheme == "dark" else "light")
    text += INVERTED if look.scheme == "inverted" else ""
    return responses.complete(200, text.encode(), responses.HTML, headers)


async def _parsed(request: ApiRequest, text: bytes, shape: request_body.Shape[T]) -> T:
    """Read a body. Raises Invalid. In a thread: compiling the texts of `values` takes seconds and would block the event loop."""
    tenant = tenants.single_tenant(request)
    return await budget.in_thread(tenant, request_body.json, text, shape, context.of(request))


async def _subject_of(request: ApiRequest, text: bytes) -> Subject:
    body = await _parsed(request, text, PREVIEW)
    if body.recipient is not None and editor_access.CLAIMS in request.scope["state"]:
        raise Forbidden("An editor token previews without a recipient: its templates could show the fields of any.")
    return await _subject(request, body, body.recipient or "")


async def _subject(
    request: ApiRequest, body: PreviewRequest | CheckRequest | TestRequest, recipient: str = ""
) -> Subject:
    """Return the stored template that applies to the tenant, or that would apply with the values of the body, and its data."""
    ctx, key, tenant = context.of(request), objects.key_of(request, KIND), tenants.single_tenant(request)
    values, data = body.values, body.data or {}
    if body.sample is not None:
        found_data = [one.data for one in await recent_data.last_sends(ctx, tenant, key) if one.id == body.sample]
        if not found_data:
            raise Invalid.of("sample", "must be the id of one of the template's samples")
        data = found_data[0]
    if values is not None:
        # The template that would apply after a write of these values.
        errors = await _reference_errors(values, ctx, tenant, key)
        if errors:
            raise Invalid.fields([FieldError(f"values.{one.field}", one.message) for one in errors])
        template = await _applied(ctx, tenant, key, values)
    elif (found := await kinds.find(KIND, ctx, tenant, key)) is not None:
        template = await _decoded(ctx, found[0].body)
    else:
        raise NotFound((await no_template(ctx.engines.db, tenant, key)).replace("there", "There", 1))
    locale, now = None if isinstance(body, CheckRequest) else body.locale, ctx.engines.clock.now()
    return Subject(tenant=tenant, template=template, recipient=recipient, locale=locale, data=data, now=now)


async def _applied(ctx: ApiContext, tenant: str, key: str, values: Template) -> Template:
    values = await budget.in_thread(tenant, email_blocks.compiled, values)
    base = None if tenant == PROJECT else await kinds.find(KIND, ctx, PROJECT, key)
    return values if base is None else (await _decoded(ctx, base[0].body)).overridden_by(values)


async def _decoded(ctx: ApiContext, body: bytes) -> Template:
    """Decode a stored template, and compile its large texts."""
    await ctx[Catalog].compile(body)
    return request_body.decoder(Template).decode(body)


def _check_preview(body: PreviewRequest | CheckRequest | TestRequest, ctx: ApiContext) -> None:
    is_other = isinstance(body, TestRequest) and isinstance(body.to, OwnAddress) and not body.to.me
    wrong = content_checks.errors(body.values, ctx.limits) if isinstance(body.values, Template) else ()
    validation.check(
        [FieldError(f"values.{one.field}".rstrip("."), one.message, one.line) for one in wrong],
        [FieldError("to.me", "must be true")] if is_other else (),
    )


PREVIEW = request_body.Shape(PreviewRequest, _check_preview)
CHECK = request_body.Shape(CheckRequest, _check_preview)
TEST = request_body.Shape(TestRequest, _check_preview)
OPERATIONS = [*objects.operations(KIND), *drafts.operations(KIND)]


class VersionChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version to make current."""

    version: objects.Version
    tenant: Annotated[str | None, TENANT_NAME] = None


@TEMPLATE.patch(
    VersionChange,
    kinds.types_of(KIND)[0],
    refusals=(NotFound, Conflict),
    example={"version": 1},
    id="objects.change_templates",
)
async def change(call: ResourceCall[VersionChange]) -> Any:
    """Make another version of a template current.

    Its content is checked like that of a write. With `?tenant=`, or `tenant` in the body, the request
    is about a tenant's override of the template."""
    ctx, db = call.ctx, call.ctx.engines.db
    tenant, (key,) = call.tenant, call.key
    version = call.body.version
    before = await Documents(db).get(KIND.plural, tenant, key)
    if before is None:
        raise NotFound("There is no template with this key.")
    await kinds.check_managed(ctx, KIND.plural, tenant, key)
    stored = await Versions(db).find(KIND.plural, tenant, key, version)
    if stored is None and before.version != version:
        raise Invalid.of("version", f"names an unknown version {version}")
    if stored is not None:
        value = request_body.decoder(Template).decode(stored.body)
        # What was stored is valid; the objects that it names may have been deleted since.
        if errors := await _reference_errors(value, ctx, tenant, key):
            raise Conflict(f"Version {version} cannot be used any more: {errors[0].field} {errors[0].message}")
        await kinds.check_uses(KIND, ctx, kinds.overlaid(KIND, ctx, tenant, key, stored.body), [(tenant, key)])
        place, now = (KIND.plural, tenant, key), ctx.engines.clock.now()
        if not await Documents(db).change(*place, before.body, stored.body, now, version=version):
            raise Conflict("The template has changed at the same time: try again.")
        after = KIND.at_version(before, stored)
        audit.note_changes(call.request, KIND.item(before, tenant), KIND.item(after, tenant))
        await kinds.written(KIND, ctx, tenant, key)
        before = after
    return await kinds.described(KIND, ctx, tenant, KIND.item(before, tenant))
