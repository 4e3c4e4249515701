"""Templates rendered outside a send: a preview with the given data, and a test message to one recipient."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels import addresses, decision_inputs, links
from bellcast.channels.catalog import Catalog
from bellcast.channels.contents import Contents, NoContent
from bellcast.channels.decision_inputs import DecisionInputs
from bellcast.channels.email import Email
from bellcast.channels.types import ChannelConfig, ExternalChannel, NewMessage
from bellcast.inbox.types import GENERAL, Actor, Draft, content
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Invalid
from bellcast.kernel.identities import Project
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


class Previews(Struct, eq=False):
    """Renders templates for their authors."""

    db: Engine
    catalog: Catalog
    config: ChannelConfig
    project: Project

    async def preview(self, subject: Subject) -> tuple[dict[Channel, dict[str, Any]], list[str]]:
        """Return the rendered parts by channel, and the variables without a value. Raises Invalid."""
        inputs = await self._inputs(subject, ())
        rendered = await self._contents(subject, inputs, is_strict=False)
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
        self, subject: Subject, channel: ExternalChannel, id: str, own: Profile | None = None
    ) -> NewMessage:
        """Return a message to the recipient, regardless of preferences, or to its author: `own`. Raises Invalid if there is no
        usable address."""
        inputs = await self._inputs(subject, (channel,))
        if own is not None:
            subject = msgspec.structs.replace(subject, recipient=own.key)
            inputs = msgspec.structs.replace(inputs, profiles={own.key: own})
        profile = inputs.profile(subject.recipient)
        rendered = await self._contents(subject, inputs, is_strict=True)
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

    async def _inputs(self, subject: Subject, channels: tuple[ExternalChannel, ...]) -> DecisionInputs:
        recipients = [subject.recipient] if subject.recipient else []
        return await decision_inputs.read(self.db, self.catalog, subject.tenant, GENERAL, recipients, channels)

    async def _contents(self, subject: Subject, inputs: DecisionInputs, *, is_strict: bool) -> Contents:
        profile = inputs.profile(subject.recipient)
        if not subject.recipient:
            profile = msgspec.structs.replace(profile, name=EXAMPLE_NAME)
        profile = profile if subject.locale is None else msgspec.structs.replace(profile, locale=subject.locale)
        draft = Draft(
            to=subject.recipient, data=dict(subject.data), actor=None if is_strict else Actor(name=EXAMPLE_ACTOR)
        )
        project = self.project if is_strict else None  # links that work are in messages only
        layouts = await self.catalog.layouts(subject.tenant, subject.template, None)
        await budget_of(subject.tenant).wait()
        return Contents(
            draft=draft,
            content=content(draft),
            template=subject.template,
            layouts=layouts,
            profile=profile,
            tenant_key=subject.tenant,
            tenant=inputs.tenant,
            links=links.links(self.config, project, subject.tenant, profile.key, (GENERAL,), subject.now),
            is_strict=is_strict,
        )
