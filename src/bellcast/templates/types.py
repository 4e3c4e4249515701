"""Templates: the content of a notification per channel and language, with variables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

from bellcast.channels.types import ChatContent, EmailContent, PushContent, SmsContent
from bellcast.inbox.types import MAX_ACTIONS, ActionButton, BodyFormat
from bellcast.kernel.field_limits import NULL, Schema, shown, text
from bellcast.preferences.types import CHANNELS, Channel

# The variables available to content: those of sends and workflows, and the content in a layout.
CONTENT_ROOTS = frozenset(
    {"data", "recipient", "actor", "tenant", "brand", "notification", "digest", "unsubscribe_url", "preferences_url"}
    | {"content", "event", "run", "steps"}
)

# Maximum blocks of an e-mail, nested ones included: a long newsletter has about 60.
MAX_BLOCKS = 100
MAX_LOCALE = 35  # RFC 5646 §4.4.1
BASE_LAYOUT = "base"


class InboxContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of an inbox item."""

    title: str | None = None
    body: str | None = None
    action_url: str | None = None
    action_text: str | None = None
    icon: str | None = None
    body_format: BodyFormat | None = None
    actions: Annotated[tuple[ActionButton, ...] | None, shown({"maxItems": MAX_ACTIONS})] = None


Percent: TypeAlias = Annotated[int, Meta(ge=10, le=90)]
Pixels: TypeAlias = Annotated[int, Meta(ge=1, le=600)]  # the width of an e-mail


class _Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """A part of an e-mail. Its texts are templates. With `if`, it is left out unless the condition holds, in the form of
    a workflow step's."""

    key: str | None = None
    condition: dict[str, Any] | None = field(default=None, name="if")
    align: Literal["left", "center", "right"] | None = None


class HeadingBlock(_Block, frozen=True, kw_only=True, tag="heading"):
    """A heading; level 1 is the largest, and the default."""

    text: str
    level: Annotated[int, Meta(ge=1, le=3)] | None = None


class TextBlock(_Block, frozen=True, kw_only=True, tag="text"):
    """Paragraphs with bold and italic text, code, links and lists in the inbox's subset of Markdown."""

    text: str


class ButtonBlock(_Block, frozen=True, kw_only=True, tag="button"):
    """A link in the form of a button, by default `primary`."""

    text: str
    url: str
    style: Literal["primary", "secondary"] | None = None


class ImageBlock(_Block, frozen=True, kw_only=True, tag="image"):
    """An image, with its description for those who do not see it: empty for decoration. `width` is in pixels."""

    src: str
    alt: str
    width: Pixels | None = None
    url: str | None = None


class DividerBlock(_Block, frozen=True, kw_only=True, tag="divider"):
    """A line."""


class HtmlBlock(_Block, frozen=True, kw_only=True, tag="html"):
    """HTML that is inserted as it is."""

    html: str


class ContentBlock(_Block, frozen=True, kw_only=True, tag="content"):
    """The place of an e-mail's content in a template that is a layout."""


class ListBlock(_Block, frozen=True, kw_only=True, tag="list"):
    """Blocks repeated for each item of the list at the path `each`, by default the first 20, as the variable `item`."""

    each: str
    blocks: tuple["Block", ...]
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None
    empty: str | None = None


class Column(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A column; `width` is in percent."""

    blocks: tuple["Block", ...]
    width: Percent | None = None


class ColumnsBlock(_Block, frozen=True, kw_only=True, tag="columns"):
    """Two or three columns, which are below each other on screens of up to 480 px."""

    columns: Annotated[tuple[Column, ...], Meta(min_length=2, max_length=3)]


Block: TypeAlias = (
    HeadingBlock
    | TextBlock
    | ButtonBlock
    | ImageBlock
    | DividerBlock
    | HtmlBlock
    | ContentBlock
    | ListBlock
    | ColumnsBlock
)


class TemplateEmail(EmailContent, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of an e-mail with `html`, or with `blocks`, from which the server makes `compiled`: its HTML before the
    variables are inserted."""

    blocks: Annotated[tuple[Block, ...], Meta(max_length=MAX_BLOCKS)] | None = None
    compiled: str | None = None

    @property
    def source(self) -> str | None:
        """The HTML template."""
        return self.html if self.compiled is None else self.compiled


class Parts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content per channel in one language."""

    inbox: InboxContent | None = None
    email: TemplateEmail | None = None
    sms: SmsContent | None = None
    push: PushContent | None = None
    chat: ChatContent | None = None

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the texts that are templates, by field, without the HTML that is made of blocks."""
        for channel in CHANNELS:
            part = getattr(self, channel)
            for name in () if part is None else part.__struct_fields__:
                value = getattr(part, name)
                if isinstance(value, str) and name not in ("layout", "compiled"):
                    yield f"{channel}.{name}", value
        for number, action in enumerate((self.inbox and self.inbox.actions) or ()):
            for name in ("label", "url"):
                if (value := getattr(action, name)) is not None:
                    yield f"inbox.actions.{number}.{name}", value


class Template(Parts, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Content that sends use by key. `translations` are parts by locale (`de`, `de-AT`)."""

    translations: Annotated[dict[str, Parts], shown({"propertyNames": text(MAX_LOCALE) | {"minLength": 1}})] = {}

    SCHEMA: ClassVar[Schema] = {
        "not": {"properties": dict.fromkeys(CHANNELS, NULL) | {"translations": {"maxProperties": 0}}}
    }

    def part(self, channel: Channel, locales: Sequence[str]) -> Any:
        """Return the channel's part in the first of these locales that has one, else the base part, else None."""
        return getattr(self.translations.get(self.locale_of(channel, locales), self), channel)

    def locale_of(self, channel: Channel, locales: Sequence[str]) -> str:
        """Return the locale of the translation for the first of these locales that has a part of this channel, in any case:
        Django's name of `pt-BR` is `pt-br`. The exact name takes precedence. That of the base part is empty."""
        own = [tag for tag, parts in self.translations.items() if getattr(parts, channel) is not None]
        found = {tag.lower(): tag for tag in own} | {tag: tag for tag in own}
        return next((tag for one in locales if (tag := found.get(one) or found.get(one.lower()))), "")

    def has(self, channel: Channel) -> bool:
        """True if the template has a part of this channel in some language."""
        return any(getattr(parts, channel) is not None for parts in (self, *self.translations.values()))

    def layouts(self) -> set[str]:
        """Return the names of the templates used as layouts."""
        emails = [parts.email for parts in (self, *self.translations.values()) if parts.email is not None]
        return {email.layout for email in emails if isinstance(email.layout, str)} - {BASE_LAYOUT}

    def overridden_by(self, other: "Template") -> "Template":
        """Return this template with the parts of the other one. A base part of the other replaces all translations of
        this part, and a translation that in the same language, in any case."""
        merged = {field: getattr(other, field) or getattr(self, field) for field in Parts.__struct_fields__}
        translations = dict(self.translations)
        replaced = {field: None for field in Parts.__struct_fields__ if getattr(other, field) is not None}
        if replaced:
            translations = {
                locale: msgspec.structs.replace(parts, **replaced) for locale, parts in translations.items()
            }
        tags = {tag.lower(): tag for tag in translations if tag not in other.translations}
        for name, parts in other.translations.items():
            locale = name if name in self.translations else tags.get(name.lower(), name)
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


def in_language_of(text: str, *locales: str | None) -> str:
    """Return the first of these locales that is in the language and script of a text, with its region: `de-AT` for `de`.
    Otherwise, return the locale of the text."""
    return next((one for one in locales if one and _language(one) == _language(text)), text)


def _language(locale: str) -> list[str]:
    """Return the language and the script, of four letters: `zh` and `Hant` of `zh-Hant-TW`."""
    language, *others = locale.lower().replace("_", "-").split("-")
    return [language, *(one for one in others if len(one) == 4)]


class Variables(Struct, frozen=True, kw_only=True):
    """`values` are the roots by name (`data`, `recipient`, …) as JSON values. Times, numbers and money are written for
    `locale` (as `de-AT`) and `zone` (an IANA name). Renderings are charged to `tenant`."""

    values: Mapping[str, Any]
    locale: str = "en"
    zone: str = "UTC"
    tenant: str = ""


class Brand(Struct, frozen=True, kw_only=True):
    """The sender and the look of e-mails (tenant setting `brand`). Colors are written as `#4f56d9`, `radius` in pixels, and
    `font` is one of six common stacks."""

    name: str | None = None
    logo_url: str | None = None
    color: str | None = None
    address: str | None = None
    footer: str | None = None
    background: str | None = None
    text_color: str | None = None
    radius: int | None = None
    font: str | None = None


VariableType = Literal["string", "number", "boolean", "time", "list", "object"]
# An element of a list, in a path such as `data.items[].name`.
EACH = "[]"


class UsedVariable(Struct, frozen=True):
    """A variable of a text. Without a value for one that is required, a send is refused."""

    path: str
    type: VariableType
    is_required: bool


# --- how much of a text message or a push notification a device shows, and how many messages it costs


# The default alphabet of text messages (3GPP TS 23.038 §6.2.1), and the characters that take two places in it.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_DOUBLE = frozenset("^{}\\[~]|€\f")
# Characters of a single message, and of each part of a longer one, whose header takes six bytes.
GSM_LENGTHS, UCS2_LENGTHS = (160, 153), (70, 67)
# Characters of a body on the lock screen of a phone: four lines of about 45.
PUSH_CUT = 178


class SmsPreview(SmsContent, frozen=True, kw_only=True):
    """A rendered text message, its characters in its encoding, and the messages that it costs."""

    characters: int
    encoding: Literal["GSM-7", "UCS-2"]
    segments: int


def sms_preview(text: str) -> SmsPreview:
    """Return a text message with its length."""
    is_gsm = GSM.union(GSM_DOUBLE).issuperset(text)
    single, part = GSM_LENGTHS if is_gsm else UCS2_LENGTHS
    places = [2 if (one in GSM_DOUBLE if is_gsm else one > "\uffff") else 1 for one in text]
    segments, free = 1, single if sum(places) <= single else part
    for taken in places:  # a part never ends within a character (3GPP TS 23.040 §9.2.3.24.1)
        if taken > free:
            segments, free = segments + 1, part
        free -= taken
    encoding: Literal["GSM-7", "UCS-2"] = "GSM-7" if is_gsm else "UCS-2"
    return SmsPreview(text=text, characters=sum(places), encoding=encoding, segments=segments)
