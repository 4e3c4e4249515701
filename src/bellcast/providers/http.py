"""Providers: which vendors deliver the messages of a channel, and the vendors' receipts."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from bellcast.channels import addresses, receipts
from bellcast.channels.receipts import Receipts
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import ExternalChannel
from bellcast.documents import store as documents
from bellcast.documents.store import Documents
from bellcast.documents.types import Document
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed, Unauthenticated
from bellcast.kernel.field_limits import INNER
from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.outbound.connection_steps import TestReport, TestStep
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.types import (
    SETTING_PREFIX,
    ConfiguredProvider,
    OptOut,
    ProviderFields,
    ReceiptRequest,
    SecretHint,
)
from bellcast.rest import audit, bundles, context, guards, kinds, objects, resource, tenants
from bellcast.rest.bundles import BundleKind
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import ManagedBy
from bellcast.rest.operations import operation
from bellcast.rest.resource import Listing, ObjectsQuery, Recent, Resource, ResourceCall, Written

MAIL = "message/rfc822"
# In place of a provider's URL in files, and characters that no variable's name has.
PLAIN_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PLACEHOLDER, NO_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}"), re.compile(r"[^A-Za-z0-9]")
READ_ADDS = {*objects.ADDED, "secret"}


class ProviderObject(Struct, frozen=True, kw_only=True):
    """A provider with its key and a masked URL. `secret` is that of the URL: whether there is one, and its last characters if it
    is long. `tenant` is null for the project's."""

    key: str
    tenant: str | None
    channel: ExternalChannel
    url: str
    secret: SecretHint
    priority: int
    rate: float | None
    concurrency: int
    timeout: float
    active: bool
    managed: ManagedBy | None


class RecentMessages(Recent, frozen=True):
    """How many messages a provider has sent in the last 24 hours, the time of the last one, and how many of them failed or
    bounced. The numbers are lower bounds if they are not `exact`: the newest 20,000 of the tenants that the list is of are
    counted."""

    failed: int


class ListedProvider(ProviderObject, frozen=True, kw_only=True):
    """A provider with its recent messages: those of the tenants that the list is of."""

    recent_messages: RecentMessages


class ProviderTest(Struct, frozen=True, forbid_unknown_fields=True):
    """With an address in `to`, a test message is sent to it. Without one, only the credentials are checked. `values`
    replace the stored provider in the test."""

    to: str | None = None
    values: Annotated[ProviderFields | None, INNER] = None


class ProviderTestResult(Struct, frozen=True):
    """Whether the provider works, else the error of the step that failed. `steps` are `syntax`, `dns`, `tcp`, `tls`, `auth` and
    `send`; those that do not apply are skipped."""

    ok: bool
    error: str | None
    state: Literal["ok", "failed"]
    steps: list[TestStep]


PROVIDERS = Resource(
    "providers", "/{key:str}", objects.restricted_key, tag="Objects", unknown="There is no provider with this key."
)


# The URL is masked.
SHOWN = (
    "channel url secret set hint priority rate concurrency timeout active managed source commit etag at lock unlocked_at "
    "recent_messages value failed exact last_at"
)


@PROVIDERS.page(documents.LIST, ListedProvider, shown=SHOWN)
async def page(listing: Listing[ObjectsQuery]) -> ListPage[ListedProvider]:
    """List the providers.

    By key, with those of the settings. With `?tenant=`, the tenant's own; with `?tenant=*`, those of the project and of all
    tenants, by tenant and key."""
    found = await listing.ctx[ProviderDirectory].page(listing.list_query)
    managers = await kinds.managers_of(listing.ctx, PROVIDERS.name, [(one.tenant, one.key) for one in found.items])
    of, messages = listing.list_query.tenants, Messages(listing.ctx.engines.db)
    counts, exact = await resource.read_recent(listing.ctx, "messages", of, messages.recent)
    return found.of(
        [
            responses.item(
                ListedProvider,
                _item(one, by),
                recent_messages=responses.item(
                    RecentMessages, resource.recent_of_object(counts, of, one.tenant, one.key), exact=exact
                ),
            )
            for one, by in zip(found.items, managers, strict=True)
        ]
    )


@PROVIDERS.get(ProviderObject, response_headers=("ETag",))
async def read(call: ResourceCall[None]) -> Any:
    """Read a provider.

    With `?tenant=`, the one that applies there."""
    found = await _find(call.request, call.tenant)
    shown = await _shown(call.ctx, found)
    stored = await Documents(call.ctx.engines.db).get(PROVIDERS.name, found.tenant, found.key)
    content = None if stored is None else stored.body.decode()
    return responses.json(shown, headers=entity_tags.tagged(content, shown))


async def _sent(request: ApiRequest) -> Any:
    return request_body.plain_json(await request_body.json_text(request))


@PROVIDERS.put(
    ProviderFields,
    ProviderObject,
    reads=_sent,
    is_sensitive=True,
    headers=objects.CONDITIONS,
    refusals=(Conflict, PreconditionFailed),
    example={"channel": "sms", "url": "twilio://SID:TOKEN@default?from=%2B12025550123", "rate": 10},
)
async def write(call: ResourceCall[Any]) -> Written[ProviderObject]:
    """Write a provider.

    Its URL is stored encrypted. If you send back the masked URL of a read, the stored URL does not change. `…@` keeps
    the stored credentials, provided that the URL names the same server. A tenant's own providers of a channel replace
    the project's: `?tenant=`, or `tenant` in the body, names the tenant."""
    request, ctx, key = call.request, call.ctx, _writable_key(objects.restricted_key(call.request))
    tenant, value = objects.split_body(request, call.body, READ_ADDS)
    fields = request_body.json(msgspec.json.encode(value), ProviderFields, ctx)
    replaces = await _condition(ctx, request, tenant, key)
    if call.is_dry_run:
        await Documents(ctx.engines.db).check_new(PROVIDERS.name, tenant, key, ctx.engines.clock.now())
        planned, _ = await ctx[ProviderDirectory].plan(tenant, key, fields)
        return await _shown(ctx, planned), False
    await kinds.check_managed(ctx, PROVIDERS.name, tenant, key)
    before = await _own(request, tenant, key)
    written, is_new, stored = await ctx[ProviderDirectory].put(tenant, key, fields, replaces)
    after = _audited(written)
    audit.note_changes(request, {} if before is None else _audited(before), after)
    if before is not None and before.fields.url == written.fields.url != fields.url:
        # Only a secret in the URL was changed, and it is masked in both.
        audit.note_change(request, "url", None, "changed")
    return await _shown(ctx, written), is_new, stored.decode()


@PROVIDERS.delete(
    is_sensitive=True, headers=objects.CONDITION_OF_CHANGE, refusals=(NotFound, Conflict, PreconditionFailed)
)
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a provider."""
    key = _writable_key(objects.restricted_key(call.request))
    await kinds.check_managed(call.ctx, PROVIDERS.name, call.tenant, key)
    replaces = await _condition(call.ctx, call.request, call.tenant, key)
    before = await _own(call.request, call.tenant, key)
    if not await call.ctx[ProviderDirectory].delete(call.tenant, key, replaces):
        return False
    audit.note_changes(call.request, {} if before is None else _audited(before), {})
    return True


async def test_mail_server(request: ApiRequest) -> TestReport:
    """Test the e-mail provider of the project that is tried first. Raises NotFound without one."""
    guards.count(request, "tests", guards.TESTS_PER_MINUTE)
    return await context.of(request)[ProviderDirectory].test_first(DEFAULT_TENANT, "email")


@PROVIDERS.act(
    "/test",
    ProviderTestResult,
    body=ProviderTest,
    is_body_optional=True,
    response_types={200: ProviderTestResult},
    example={"to": "+436601234567"},
)
async def test(call: ResourceCall[ProviderTest]) -> ProviderTestResult:
    """Test a provider.

    Resolves its host, connects, and checks the credentials or sends a message to an address, in at most 15 seconds; at
    most 10 tests a minute for each caller. Each step has a state, its time, and a fix if it failed. A dry run sends
    nothing. With `values`, it tests a provider that is not stored. In their URL, `…@` stands for the credentials of the
    stored provider with this key, provided that the URL names the same server."""
    request, body, providers, (key,) = call.request, call.body, call.ctx[ProviderDirectory], call.key
    if body.to is not None:
        fields = body.values or (await _find(request, call.tenant)).fields
        wrong = addresses.format_problem(fields.channel, body.to)
        if wrong is not None:
            raise Invalid.of("to", wrong)
    to = None if call.is_dry_run else body.to
    guards.count(request, "tests", guards.TESTS_PER_MINUTE)
    if body.values is None:
        report = await providers.test(call.tenant, key, to)
    else:
        try:
            planned, _ = await providers.plan(call.tenant, key, body.values)
        except Invalid as refusal:
            raise Invalid.fields([FieldError(f"values.{one.field}", one.message) for one in refusal.errors]) from None
        audit.note_changes(request, {}, {"values.url": planned.fields.url, "to": to})
        report = await providers.test_values(call.tenant, key, body.values, to)
    error = next((step.detail for step in report.steps if step.state == "failed"), None)
    return ProviderTestResult(error is None, error, report.state, report.steps)


@operation(
    "POST",
    "/v1/providers/{key:str}/receipts",
    tag="Messages",
    required_scope=None,
    any_query=True,
    body_types=(request_body.FORM, "application/json", MAIL),
    response_types={204: None},
    refusals=(NotFound, Unauthenticated),
)
async def receive(request: ApiRequest) -> ASGIApp:
    """Receive a delivery receipt.

    Twilio and Vonage sign theirs. The response to a wrong signature, an unknown provider and one without receipts is the same:
    401. A mail server's report (message/rfc822) needs the scope `manage`."""
    ctx, key = context.of(request), objects.restricted_key(request)
    tenant, media_type = tenants.single_tenant(request), request_body.media_type(request)
    if media_type == MAIL:
        await guards.authorize(request, "manage")
        found = await ctx[ProviderDirectory].find(tenant, key)
        if found is None or found.fields.channel != "email":
            raise NotFound("There is no e-mail provider with this key.")
        try:
            body = await request_body.raw(request, ctx.limits.request)
            # In a thread: for some mails of a few kilobytes, the parser takes a second.
            report = await asyncio.to_thread(receipts.parse, body)
        except ValueError as error:
            raise Invalid.of("body", str(error)) from None
        if report is not None and not await ctx[Receipts].apply_report(tenant, report):
            raise NotFound("There is no message with this reference.")
        return responses.empty()
    body = await request_body.raw(request, ctx.limits.request)
    if media_type == request_body.FORM:
        form = request_body.form_fields(body)
    else:
        value = request_body.plain_json(body)
        form = {name: str(field) for name, field in value.items()} if isinstance(value, dict) else {}
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.scope["headers"]}
    signed = ReceiptRequest(url=ctx[ProviderDirectory].receipts_url(tenant, key), headers=headers, form=form)
    try:
        receipt = await ctx[ProviderDirectory].receipt(tenant, key, signed)
    except PermissionError:
        raise Unauthenticated(
            "Not accepted: there is no provider with this key whose vendor signs receipts so."
        ) from None
    if isinstance(receipt, OptOut):
        await ctx[Receipts].apply_opt_out(key, tenant, receipt)
    elif receipt is not None:
        await ctx[Receipts].take_receipt(key, tenant, receipt)
    return responses.empty()


def _writable_key(key: str) -> str:
    """Return the key. Raises Conflict for that of a provider from the settings."""
    if key.startswith(SETTING_PREFIX):
        raise Conflict(f"Providers with keys that begin with {SETTING_PREFIX} are those of the server's settings.")
    return key


async def _find(request: ApiRequest, tenant: str) -> ConfiguredProvider:
    """Return the provider in the path that applies in a tenant. Raises NotFound."""
    directory, key = context.of(request)[ProviderDirectory], objects.restricted_key(request)
    if (found := await directory.find(tenant, key)) is None:
        raise await directory.unknown(tenant, key)
    return found


async def _condition(ctx: ApiContext, request: ApiRequest, tenant: str, key: str) -> bytes | UnsetType | None:
    """Return the body that a conditional write replaces; None for no provider. Raises PreconditionFailed."""
    if not entity_tags.is_conditional(request):
        return UNSET
    found = await Documents(ctx.engines.db).get(PROVIDERS.name, tenant, key)
    entity_tags.check(request, None if found is None else entity_tags.tag_of(found.body.decode()))
    return None if found is None else found.body


async def _own(request: ApiRequest, tenant: str, key: str) -> ConfiguredProvider | None:
    """Return the provider that an operator's request changes. A request about a tenant never changes the project's
    provider."""
    found = await context.of(request)[ProviderDirectory].find(tenant, key) if audit.is_by_operator(request) else None
    return found if found is not None and found.tenant == tenant else None


def _audited(provider: ConfiguredProvider) -> dict[str, Any]:
    """Return the fields in the audit; secrets in the URL are masked."""
    fields = asdict(_item(provider, None))
    del fields["secret"], fields["managed"]
    return fields


async def _shown(ctx: ApiContext, provider: ConfiguredProvider) -> ProviderObject:
    (by,) = await kinds.managers_of(ctx, PROVIDERS.name, [(provider.tenant, provider.key)])
    return _item(provider, by)


def _item(provider: ConfiguredProvider, by: ManagedBy | None) -> ProviderObject:
    stored = {"key": provider.key, "tenant": provider.tenant, "secret": provider.secret}
    timeout = times.seconds(provider.fields.timeout)
    return responses.item(ProviderObject, provider.fields, timeout=timeout, managed=by, **stored)


# --- bundles


def _values(ctx: ApiContext, tenant: str, document: Document) -> dict[str, Any]:
    fields = msgspec.json.decode(document.body, type=ProviderFields)
    # Files have the name of a variable instead of the URL, which no other provider has. Two underscores end a tenant; three
    # begin the code of keys that could have the same name as others.
    names = [one for one in (tenant, document.key) if one]
    code = (
        ""
        if all(map(PLAIN_KEY.fullmatch, names))
        else hashlib.sha256("\0".join((tenant, document.key)).encode()).hexdigest()
    )
    name = "__".join(NO_VARIABLE.sub("_", one) for one in names) + (code and f"___{code[:16]}")
    url = f"${{BELLCAST_PROVIDER_{name.upper()}}}"
    return bundles.portable(msgspec.structs.replace(fields, url=url))


def _hidden(ctx: ApiContext, tenant: str, document: Document) -> str:
    """Return a code of the URL, which changes with its secrets and does not reveal them."""
    code = ctx.project.keyed_hmac.copy()
    try:
        code.update(ctx[ProviderDirectory].secret_fields(tenant, document).url.encode())
    except ValueError:  # it cannot be decrypted
        code.update(document.body)
    return code.hexdigest()


async def _parse(ctx: ApiContext, tenant: str, key: str, values: dict[str, Any], before: Document | None) -> bytes:
    _writable_key(key)
    directory = ctx[ProviderDirectory]
    if PLACEHOLDER.fullmatch(str(values.get("url"))):
        if before is None:
            variable = values["url"][2:-1]
            problem = f"has no value and none is stored: set {variable}, or add the provider in the console first"
            raise Invalid.of("url", problem)
        with contextlib.suppress(ValueError):
            values["url"] = directory.secret_fields(tenant, before).url
    fields = request_body.json(msgspec.json.encode(values), ProviderFields, ctx)
    _, body = await directory.plan(tenant, key, fields)
    return body


async def _written(ctx: ApiContext, changed: Sequence[tuple[str, str, bool]]) -> None:
    for tenant in {tenant for tenant, *_ in changed}:
        ctx[ProviderDirectory].forget(tenant)


BUNDLE = BundleKind(
    plural="providers",
    check_key=lambda _, key: kinds.checked_key(key),
    values=_values,
    hidden=_hidden,
    parse=_parse,
    written=_written,
)
