"""The content of one notification for one recipient, per channel: the send's own fields, else the template's, else made
from title, body and link."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from bellcast.channels import email
from bellcast.channels.email import Headline
from bellcast.channels.tenant_settings import TenantSettings
from bellcast.errors import Invalid
from bellcast.model.identities import Profile
from bellcast.model.messages import EmailContent, ExternalChannel
from bellcast.model.notifications import Content, Draft
from bellcast.model.preferences import Channel
from bellcast.model.templates import InboxContent, Template, locales_of
from bellcast.templates import Renderer, TemplateError, Variables

UNSUBSCRIBE = "Unsubscribe"


class ContentContext(Struct, frozen=True, kw_only=True):
    """Input of a content. `links` are variables with URLs."""

    draft: Draft
    content: Content
    template: Template | None
    profile: Profile
    tenant: TenantSettings
    links: Mapping[str, str]


class StoredEmail(EmailContent, frozen=True, kw_only=True):
    """The stored content of an e-mail: complete, with what its headers need."""

    to_name: str | None = None
    unsubscribe_url: str | None = None


class Contents:
    """Renders the content of each channel when it is needed. Raises Invalid, naming the field."""

    def __init__(self, occasion: ContentContext) -> None:
        self._occasion = occasion

    def inbox(self) -> Content:
        """The content of the inbox item."""
        occasion = self._occasion
        part: InboxContent | None = self._part("inbox")
        if part is None:
            return occasion.content
        own = {name: value for name in InboxContent.__struct_fields__ if (value := getattr(occasion.draft, name))}
        rendered = self._rendered(part, "inbox", own)
        fields = {name: own.get(name, getattr(rendered, name)) for name in InboxContent.__struct_fields__}
        if not fields["title"]:
            raise Invalid.of("template", "has no title for the inbox, and the send has none")
        return msgspec.structs.replace(occasion.content, **fields)

    def external(self, channel: ExternalChannel) -> bytes:
        """The content of a message, as JSON."""
        if channel == "email":
            return msgspec.json.encode(self._email())
        part = self._merged(channel)
        headline = self._headline
        content: dict[str, Any] = {name: value for name, value in _fields(part).items() if value is not None}
        if channel == "push":
            content.setdefault("title", headline.title)
            if headline.body:
                content.setdefault("body", headline.body)
            content |= {"url": headline.url, "priority": self._occasion.content.priority}
        else:
            content.setdefault("text", "\n".join(t for t in (headline.title, headline.body, headline.url) if t))
        return msgspec.json.encode(content)

    def _email(self) -> StoredEmail:
        occasion = self._occasion
        part: EmailContent = self._merged("email") or EmailContent()
        url = occasion.links.get("unsubscribe_url")
        complete = email.complete(
            part,
            self._headline,
            occasion.tenant.brand,
            language=occasion.profile.locale or occasion.tenant.locale,
            links={} if url is None else {UNSUBSCRIBE: url},
        )
        return StoredEmail(**_fields(complete), to_name=occasion.profile.name, unsubscribe_url=url)

    def _merged(self, channel: Channel) -> Any:
        """The send's fields, else the template's rendered ones."""
        content = getattr(self._occasion.draft, channel)
        part = self._part(channel)
        if part is None:
            return content
        own = {name: value for name, value in _fields(content).items() if value is not None}
        return msgspec.structs.replace(self._rendered(part, channel, own), **own)

    def _part(self, channel: Channel) -> Any:
        template, profile = self._occasion.template, self._occasion.profile
        return (
            None
            if template is None
            else template.part(channel, locales_of(profile.locale, self._occasion.tenant.locale))
        )

    @cached_property
    def _headline(self) -> Headline:
        content = self.inbox()
        return Headline(
            title=content.title,
            body=content.body,
            url=email.absolute_url(content.action_url, self._occasion.tenant.app_url),
            url_label=content.action_text,
        )

    @cached_property
    def _renderer(self) -> Renderer:
        occasion = self._occasion
        profile = occasion.profile
        values = {
            "data": occasion.draft.data,
            "recipient": {name: getattr(profile, name) for name in RECIPIENT_FIELDS},
            "actor": msgspec.to_builtins(occasion.content.actor),
            "tenant": occasion.tenant.values,
            "brand": msgspec.to_builtins(occasion.tenant.brand),
            "notification": {"type": occasion.content.type, "priority": occasion.content.priority},
            **occasion.links,
        }
        zone = profile.timezone or occasion.tenant.timezone
        return Renderer(Variables(values=values, locale=profile.locale or occasion.tenant.locale, zone=zone))

    def _rendered(self, part: Any, channel: Channel, own: Mapping[str, Any]) -> Any:
        """Render the texts of a template's part, except those that the send has itself."""
        texts = {n: v for n, v in _fields(part).items() if isinstance(v, str) and n != "layout" and n not in own}
        rendered: dict[str, str] = {}
        for name, source in texts.items():
            try:
                rendered[name] = self._renderer.render(source, is_html=name == "html")
            except TemplateError as error:
                raise _invalid(error, channel, name) from None
        return msgspec.structs.replace(part, **rendered)


RECIPIENT_FIELDS = ("key", "name", "email", "phone", "locale", "timezone", "roles", "data")


def _fields(part: Any) -> dict[str, Any]:
    return {} if part is None else {n: v for n in part.__struct_fields__ if (v := getattr(part, n)) is not UNSET}


def _invalid(error: TemplateError, channel: Channel, name: str) -> Invalid:
    if error.variable is not None:
        return Invalid.of(error.variable, f"is missing: {channel}.{name} of the template uses it without default()")
    return Invalid.of("template", f"template_error in {channel}.{name}: {error.message}")
