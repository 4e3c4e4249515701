"""Templates: the content of a notification per channel and language, with variables."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels.types import BASE_LAYOUT, ChatContent, EmailContent, PushContent, SmsContent
from bellcast.inbox.types.notifications import ActionButton, BodyFormat
from bellcast.preferences.types import Channel

# The variables available to content: those of sends and workflows, and the content in a layout.
CONTENT_ROOTS = frozenset(
    {"data", "recipient", "actor", "tenant", "brand", "notification", "digest", "unsubscribe_url", "preferences_url"}
    | {"content", "event", "run", "steps"}
)


class InboxContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of an inbox item."""

    title: str | None = None
    body: str | None = None
    action_url: str | None = None
    action_text: str | None = None
    icon: str | None = None
    body_format: BodyFormat | None = None
    actions: tuple[ActionButton, ...] | None = None


class Parts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content per channel in one language."""

    inbox: InboxContent | None = None
    email: EmailContent | None = None
    sms: SmsContent | None = None
    push: PushContent | None = None
    chat: ChatContent | None = None


class Template(Parts, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Content that sends use by key. `translations` are parts by locale (`de`, `de-AT`)."""

    translations: dict[str, Parts] = {}

    def part(self, channel: Channel, locales: Sequence[str]) -> Any:
        """Return the channel's part in the first of these locales that has one, else the base part, else None."""
        for locale in locales:
            parts = self.translations.get(locale)
            if parts is not None and (part := getattr(parts, channel)) is not None:
                return part
        return getattr(self, channel)

    def has(self, channel: Channel) -> bool:
        """True if the template has a part of this channel in some language."""
        return any(getattr(parts, channel) is not None for parts in (self, *self.translations.values()))

    def layouts(self) -> set[str]:
        """Return the names of the templates used as layouts."""
        emails = [parts.email for parts in (self, *self.translations.values()) if parts.email is not None]
        return {email.layout for email in emails if isinstance(email.layout, str)} - {BASE_LAYOUT}

    def overridden_by(self, other: "Template") -> "Template":
        """Return this template with the parts of the other one. A base part of the other replaces all translations of
        this part."""
        merged = {field: getattr(other, field) or getattr(self, field) for field in Parts.__struct_fields__}
        translations = dict(self.translations)
        replaced = {field: None for field in Parts.__struct_fields__ if getattr(other, field) is not None}
        if replaced:
            translations = {
                locale: msgspec.structs.replace(parts, **replaced) for locale, parts in translations.items()
            }
        for locale, parts in other.translations.items():
            own = {field: value for field in Parts.__struct_fields__ if (value := getattr(parts, field)) is not None}
            translations[locale] = msgspec.structs.replace(translations.get(locale, Parts()), **own)
        return Template(**merged, translations=translations)


def locales_of(*names: str | None) -> list[str]:
    """Return the locales to try, most specific first: `de-AT`, `de`, then those of the next name."""
    found: list[str] = []
    for name in names:
        tag = (name or "").replace("_", "-")
        while tag:
            if tag not in found:
                found.append(tag)
            tag = tag.rpartition("-")[0]
    return found


class Variables(Struct, frozen=True, kw_only=True):
    """`values` are the roots by name (`data`, `recipient`, …) as JSON values. Times, numbers and money are written for
    `locale` (as `de-AT`) and `zone` (an IANA name). Renderings are charged to `tenant`."""

    values: Mapping[str, Any]
    locale: str = "en"
    zone: str = "UTC"
    tenant: str = ""
