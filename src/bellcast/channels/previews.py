"""Templates rendered outside a send: a preview with the given data, and a test message to one recipient."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels import addresses, decision_inputs, links
from bellcast.channels.contents import Contents, NoContent
from bellcast.channels.decision_inputs import RecipientInputs
from bellcast.channels.email import Email
from bellcast.channels.routing import Router
from bellcast.channels.types import ExternalChannel, NewMessage
from bellcast.inbox.types import GENERAL, Actor, Draft
from bellcast.kernel.errors import Invalid
from bellcast.preferences.types import CHANNELS, Channel
from bellcast.recipients.types import Profile
from bellcast.templates.budget import budget_of
from bellcast.templates.types import InboxContent, Template
from bellcast.templates.variables import EXAMPLE_ACTOR, EXAMPLE_NAME

# Fields of a stored content that do not come from the template.
ADDED = ("to_name", "unsubscribe_url", "priority", "url")
# The default format of a body.
PLAIN = ("body_format", "plain")
TEST = "[Test]"  # before the subject of an e-mail to its author
PROBLEMS = {
    "no_address": "has no address for {channel}",
    "invalid_address": "has an address for {channel} that cannot be used",
    "suppressed": "has an address for {channel} that is suppressed",
}


class Subject(Struct, frozen=True, kw_only=True):
    """The input of a preview: a template for a recipient (a key without a profile is enough), with the variables in `data`."""

    tenant: str
    template: Template
    recipient: str
    locale: str | None = None
    data: Mapping[str, Any] = {}
    now: int


async def preview(router: Router, subject: Subject) -> tuple[dict[Channel, dict[str, Any]], list[str]]:
    """Return the rendered parts by channel, and the variables without a value. Raises Invalid."""
    rendered = await _contents(router, subject, await _read(router, subject, ()), is_strict=False)
    parts: dict[Channel, dict[str, Any]] = {}
    for channel in CHANNELS:
        if channel == "inbox" and subject.template.has("inbox"):
            item = rendered.inbox_fields
            fields = {name: getattr(item, name) for name in InboxContent.__struct_fields__}
            shown = {name: value for name, value in fields.items() if value and (name, value) != PLAIN}
            parts[channel] = shown
        elif channel != "inbox" and subject.template.has(channel):
            part = msgspec.json.decode(rendered.external(channel))
            parts[channel] = {name: value for name, value in part.items() if name not in ADDED}
    return parts, rendered.renderer.missing


async def message(
    router: Router, subject: Subject, channel: ExternalChannel, id: str, own: Profile | None = None
) -> NewMessage:
    """Return a message to the recipient, regardless of preferences, or to its author: `own`. Raises Invalid if there is no
    usable address."""
    recipients = await _read(router, subject, (channel,))
    if own is not None:
        subject = msgspec.structs.replace(subject, recipient=own.key)
        recipients = msgspec.structs.replace(recipients, profiles={own.key: own})
    rendered = await _contents(router, subject, recipients, is_strict=True)
    profile, inputs = rendered.profile, rendered.route.inputs
    try:
        written = rendered.external(channel)
    except NoContent:
        raise Invalid.of("channel", f"cannot be {channel}: the template has no content for it") from None
    if own is not None:
        mail = msgspec.json.decode(written, type=Email)
        # Its links would change the preferences of a recipient that does not exist.
        marked = msgspec.structs.replace(mail, subject=f"{TEST} {mail.subject}", unsubscribe_url=None)
        written = msgspec.json.encode(marked)
    problem = addresses.problem(profile, channel, inputs.suppressed)
    if problem is not None:
        raise Invalid.of("to", PROBLEMS[problem].format(channel=channel))
    return NewMessage(
        id=id,
        tenant=subject.tenant,
        recipient=profile.key,
        notification=None,
        channel=channel,
        type=GENERAL,
        priority="normal",
        address=next(iter(inputs.addresses(profile, channel)), ""),
        due_at=subject.now,
        created_at=subject.now,
        content=written,
    )


async def _read(router: Router, subject: Subject, channels: tuple[ExternalChannel, ...]) -> RecipientInputs:
    keys = [subject.recipient] if subject.recipient else []
    return await decision_inputs.read_recipients(router.db, subject.tenant, keys, channels)


async def _contents(router: Router, subject: Subject, recipients: RecipientInputs, *, is_strict: bool) -> Contents:
    draft = Draft(to=subject.recipient, data=dict(subject.data), actor=None if is_strict else Actor(name=EXAMPLE_ACTOR))
    route = await router.route_for(subject.tenant, draft, (), subject.template, recipients)
    profile = route.inputs.profile(subject.recipient)
    if not subject.recipient:
        profile = msgspec.structs.replace(profile, name=EXAMPLE_NAME)
    profile = profile if subject.locale is None else msgspec.structs.replace(profile, locale=subject.locale)
    project = router.project if is_strict else None  # links that work are in messages only
    urls = links.links(router.config, project, subject.tenant, profile.key, (GENERAL,), subject.now)
    await budget_of(subject.tenant).wait()
    return Contents(route=route, profile=profile, links=urls, is_strict=is_strict)
