"""The content of one notification for one recipient, per channel. Each part comes from the send itself or from the
template, or is generated from title, body and link. Also previews of templates for their authors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from bellcast.channels import email, links
from bellcast.channels.catalog import TenantSettings
from bellcast.channels.decision_inputs import DecisionInputs
from bellcast.channels.email import Email, Headline
from bellcast.channels.types import EmailContent, ExternalChannel
from bellcast.inbox import types as notification_types
from bellcast.inbox.types import ActionButton, Actor, ChannelRequest, Content, Draft
from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid, TemplateFailed
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import Channel
from bellcast.recipients.types import Profile
from bellcast.templates import html, rendering
from bellcast.templates.budget import TemplateError
from bellcast.templates.html import document, parted, style
from bellcast.templates.rendering import Renderer, SharedResults
from bellcast.templates.types import (
    BASE_LAYOUT,
    InboxContent,
    Template,
    TemplateEmail,
    Variables,
    in_language_of,
    locales_of,
)

T = TypeVar("T")

ANY_LENGTH = Limits(url=0, title=0, event_name=0)


PUSH_BUTTONS = 2  # Notification.maxActions of Chromium


class SendRoute(Struct, frozen=True, kw_only=True):
    """The draft of a tenant's send and the data needed to route it, read once for all recipients. `layouts` are the layout templates
    of its e-mails. Messages of `simulated` channels end when they are sent. `shared` has results that are the same for all
    recipients of the draft."""

    tenant: str
    draft: Draft
    content: Content
    channels: tuple[ChannelRequest, ...]
    template: Template | None
    layouts: Mapping[str, Template]
    inputs: DecisionInputs
    simulated: frozenset[Channel]
    uses_links: bool
    shared: SharedResults | None = None


class Contents(Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """Renders the content of each channel for a recipient on demand, charged to the tenant. Raises Invalid with the field's name.

    `links` are variables with URLs. `roots` returns the variables of a workflow's step. A preview (`is_strict` False) renders
    missing variables as empty."""

    route: SendRoute
    profile: Profile
    links: Mapping[str, str]
    is_strict: bool = True
    roots: Callable[[], Mapping[str, Any]] | None = None

    def inbox(self) -> Content:
        """Return the content of the inbox item."""

        def checked() -> Content:
            content = self.inbox_fields
            if not content.title:
                raise Invalid.of("template", "has no title for the inbox, and the send has none")
            # Variables can turn a template's text into any URL.
            validation.check(
                validation.url("template", content.action_url, ANY_LENGTH),
                notification_types.actions("template", content.actions, ANY_LENGTH),
            )
            return content

        return self._shared("inbox", ("inbox",), checked)

    def external(self, channel: ExternalChannel) -> bytes:
        """Return the content of a message, as JSON."""
        if channel == "email":
            return msgspec.json.encode(self._email())
        part, headline = self._merged(channel), self._headline
        content: dict[str, Any] = {name: value for name, value in _fields(part).items() if value is not None}
        if channel == "push":
            content.setdefault("title", title_with_actor(headline.title, self.inbox_fields.actor))
            if headline.body:
                content.setdefault("body", headline.body)
            required = content["title"]
            content |= {"url": headline.url, "priority": self.route.content.priority}
            # The first links among the actions. A service worker has no session, so it cannot call handlers.
            app_url = self._tenant.app_url
            urls = [(action, html.absolute_url(action.url, app_url)) for action in self.inbox_fields.actions]
            if buttons := [{"key": one.key, "label": one.label, "url": url} for one, url in urls if url]:
                content["actions"] = buttons[:PUSH_BUTTONS]
        else:
            content.setdefault("text", "\n".join(t for t in (headline.title, headline.body, headline.url) if t))
            required = content["text"]
        if not required and not self.renderer.missing:
            raise _empty(channel)
        return msgspec.json.encode(content)

    def _email(self) -> Email:
        def completed() -> EmailContent:
            """Return the e-mail without layout and footer."""
            part: EmailContent = self._merged("email") or EmailContent()
            if not (part.subject or self._headline.title or self.renderer.missing):
                raise _empty("email")
            return email.complete(part, self._headline, self._tenant.brand)

        complete = self._shared("email", ("inbox", "email"), completed)
        subject, inner, name = complete.subject or "", complete.html or "", complete.layout
        shown = links.footer(self.links, self._locales)
        # Without a layout, the text is sent as it is written, like the HTML.
        footer = "" if name is None else email.text_footer(shown)
        if name is None:
            whole = self._bare(inner, subject)
        elif name is UNSET or name == BASE_LAYOUT:
            # What the author wrote, empty if the server makes the HTML of texts. A step has texts of its own.
            part, brand = self._part("email"), self._tenant.brand
            source = part.source if isinstance(part, TemplateEmail) else part and part.html
            written = (self.route.draft.email and self.route.draft.email.html) or source or ""
            whole = html.page(
                inner, subject=subject, language=self._email_locale, brand=brand, links=shown, written=written
            )
        else:
            template = self.route.layouts.get(name)
            source = None if template is None else rendering.layout_html(template, self._locales)
            if source is None:
                text = f"there is no template {name[:100]!r} whose HTML has {{{{ content }}}}"
                raise Invalid.of("email.layout", text)
            rules, inner = parted(inner)
            is_translated = template is not None and template.translations
            locale = self._text_locale(template, "email") if is_translated else self._email_locale
            whole = self._bare(self._text(source, "email", "layout", locale, content=inner), subject, rules)
        return Email(
            subject=subject,
            text=(complete.text or "") + footer,
            html=whole,
            to_name=self.profile.name,
            unsubscribe_url=self.links.get("unsubscribe_url") or None,
        )

    def _bare(self, inner: str, subject: str, rules: str = "") -> str:
        """Return HTML as it is; sections of blocks become a document."""
        own, sections = parted(inner)
        if not own:
            return rules + inner
        return document(sections, subject=subject, language=self._email_locale, rules=own + rules)

    def _merged(self, channel: Channel) -> Any:
        """Return the send's fields, else the template's rendered ones."""
        content = getattr(self.route.draft, channel)
        part = self._part(channel)
        if part is None:
            return content
        own = {name: value for name, value in _fields(content).items() if value is not None or name == "layout"}
        return msgspec.structs.replace(self._rendered(part, channel, own), **own)

    def _part(self, channel: Channel) -> Any:
        return None if self.route.template is None else self.route.template.part(channel, self._locales)

    @property
    def _tenant(self) -> TenantSettings:
        return self.route.inputs.tenant

    @property
    def _locales(self) -> list[str]:
        return locales_of(self.profile.locale, self._tenant.locale)

    @property
    def _locale(self) -> str:
        return self.profile.locale or self._tenant.locale

    def _text_locale(self, template: Template | None, channel: Channel) -> str:
        """Return the locale of a template's text, which its formats must fit. Beside translations, a base part is in the tenant's
        language; without any, it is taken to be in the recipient's."""
        if template is None or not template.translations:
            return self._locale
        text = template.locale_of(channel, self._locales) or self._tenant.locale
        return in_language_of(text, self.profile.locale, self._tenant.locale)

    @property
    def _email_locale(self) -> str:
        """Return the locale of the e-mail's text: the inbox's if it has none of its own."""
        if self.route.draft.email and self.route.draft.email.html:
            return self._locale
        return self._text_locale(self.route.template, "inbox" if self._part("email") is None else "email")

    @property
    def _zone(self) -> str:
        return self.profile.timezone or self._tenant.timezone

    def _shared(self, name: str, channels: Sequence[Channel], make: Callable[[], T]) -> T:
        """Return the result of `make` for the parts of these channels. It is shared by all recipients with the same
        language and time zone, if nothing in the parts depends on the recipient."""
        if self.route.shared is None:
            return make()

        def sources() -> Iterator[tuple[str, bool]]:
            """Return the texts of the template's parts, and whether each is HTML."""
            for channel in channels:
                part = self._part(channel)
                for name, text in _texts(part).items():
                    yield text, name in HTML_FIELDS
                for action in (isinstance(part, InboxContent) and part.actions) or ():
                    yield from ((text, False) for text in _action_texts(action).values())

        return self.route.shared.find((name, id(self.route.template), self._locale, self._zone), sources, make)

    @cached_property
    def inbox_fields(self) -> Content:
        """The content of the inbox item; the title can be empty."""
        part: InboxContent | None = self._part("inbox")
        if part is None:
            return self.route.content
        own = {name: value for name in InboxContent.__struct_fields__ if (value := getattr(self.route.draft, name))}
        if "body" not in own:
            own.pop("body_format", None)  # the format belongs to the body
        rendered = self._rendered(part, "inbox", own)
        fields = {name: own.get(name, getattr(rendered, name)) for name in InboxContent.__struct_fields__}
        fields["title"] = fields["title"] or ""
        fields["body_format"] = fields["body_format"] or "plain"
        fields["actions"] = tuple(fields["actions"] or ())
        return msgspec.structs.replace(self.route.content, **fields)

    @cached_property
    def _headline(self) -> Headline:
        content, app_url = self.inbox_fields, self._tenant.app_url
        body, formatted = content.body, None
        if body and content.body_format == "markdown":
            formatted = html.from_markdown(body, app_url)
            body = html.to_text(formatted)
        return Headline(
            # "commented on …" needs its actor; "New comment" is a subject without it.
            title=title_with_actor(content.title, content.actor) if content.title[:1].islower() else content.title,
            body=body,
            html=formatted,
            url=html.absolute_url(content.action_url, app_url),
            url_label=content.action_text,
        )

    @cached_property
    def renderer(self) -> Renderer:
        """Renders the texts; in a preview, it has the variables without a value."""
        brand, content = self._tenant.brand, self.route.content
        own = self.roots or (lambda: own_roots(self.route.draft, content, self._tenant, self.profile))
        values = {
            "brand": {**msgspec.to_builtins(brand), "style": style(brand)},
            "notification": {name: getattr(content, name) for name in NOTIFICATION_FIELDS},
            **self.links,
            **own(),
        }
        variables = Variables(values=values, locale=self._locale, zone=self._zone, tenant=self.route.tenant)
        return Renderer(variables, is_strict=self.is_strict)

    def _rendered(self, part: Any, channel: Channel, own: Mapping[str, Any]) -> Any:
        """Render the texts of a template's part, except those that the send overrides."""
        texts = {name: text for name, text in _texts(part).items() if name not in own}
        locale = self._text_locale(self.route.template, channel)
        rendered: dict[str, Any] = {name: self._text(text, channel, name, locale) for name, text in texts.items()}
        if isinstance(part, InboxContent) and part.actions and "actions" not in own:
            rendered["actions"] = tuple(
                msgspec.structs.replace(
                    action,
                    **{
                        name: self._text(text, "inbox", f"actions.{name}", locale)
                        for name, text in _action_texts(action).items()
                    },
                )
                for action in part.actions
            )
        return msgspec.structs.replace(part, **rendered)

    def _text(self, source: str, channel: Channel, name: str, locale: str, *, content: str | None = None) -> str:
        try:
            return self.renderer.render(source, is_html=name in HTML_FIELDS, content=content, locale=locale)
        except TemplateError as error:
            if error.variable is None:
                raise TemplateFailed.of("template", f"{channel}.{name} {error.message}") from None
            problem = f"is missing: {channel}.{name} of the template uses it without default()"
            raise Invalid.of(error.variable, problem) from None


HTML_FIELDS = frozenset({"html", "layout"})
RECIPIENT_FIELDS = ("key", "name", "email", "phone", "chat", "locale", "timezone", "roles", "data")
NOTIFICATION_FIELDS = ("type", "priority", "title", "body", "action_url", "tags", "group")


def own_roots(draft: Draft, content: Content, tenant: TenantSettings, profile: Profile | None) -> dict[str, Any]:
    """Return the variables of a send without a workflow, to one recipient or to all."""
    return {
        "data": draft.data,
        "recipient": {} if profile is None else recipient_variable(recipient_values(profile)),
        "actor": msgspec.to_builtins(content.actor),
        "tenant": tenant.values,
    }


def recipient_values(profile: Profile) -> dict[str, Any]:
    """Return the fields of a recipient."""
    values = {name: getattr(profile, name) for name in RECIPIENT_FIELDS}
    return values | {name: msgspec.to_builtins(values[name]) for name in ("chat", "roles", "data")}


def recipient_variable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variable `recipient` of templates and conditions: a null field is missing."""
    return {name: value for name, value in values.items() if value is not None}


def _fields(part: Any) -> dict[str, Any]:
    return {} if part is None else {n: v for n in part.__struct_fields__ if (v := getattr(part, n)) is not UNSET}


def _texts(part: Any) -> dict[str, str]:
    """Return the texts of a part that are rendered."""
    texts = {name: value for name, value in _fields(part).items() if isinstance(value, str) and name != "layout"}
    if "compiled" in texts:
        texts["html"] = texts.pop("compiled")
    return texts


def _action_texts(action: ActionButton) -> dict[str, str]:
    return {name: text for name in ("label", "url") if (text := getattr(action, name)) is not None}


class NoContent(Invalid):
    """Neither the send nor its template has content for the channel."""


def _empty(channel: Channel) -> Invalid:
    return NoContent.of("title", f"is required: neither the send nor its template has content for {channel}")


def title_with_actor(title: str, actor: Actor | None) -> str:
    """Return the title with the actor's name before it, unless it has the name or a part of it, as the bell shows it."""
    name = ((actor and actor.name) or "").strip()
    # A shorter part may be another word of the title, such as "The" or "de".
    parts = [part for part in name.split() if len(part) > 3]
    if not title or not name or any(_has_word(title, part) for part in (name, *parts)):
        return title
    return f"{name}{' ' if title[0].islower() else ' · '}{title}"


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    around = text[max(at - 1, 0) : at] + text[at + len(word) :][:1]
    return at >= 0 and not any(one.isupper() or one.islower() or one.isdigit() for one in around)
