"""Templates: content with variables, per channel and language."""

import msgspec

from bellcast.api import objects
from bellcast.api.context import ApiContext
from bellcast.errors import FieldError, Invalid
from bellcast.model import validation
from bellcast.model.preferences import CHANNELS
from bellcast.model.templates import Parts, Template
from bellcast.templates import TemplateError, check_syntax

# A template is read as a whole on each send that uses it.
MAX_BYTES = 256 * 1024
MAX_LOCALE = 35  # RFC 5646 §4.4.1


def _check(value: Template, ctx: ApiContext) -> None:
    errors = list(_errors(value))
    if errors:
        raise Invalid.fields(errors)


def _errors(value: Template) -> validation.FieldErrors:
    size = len(msgspec.json.encode(value))
    if size > MAX_BYTES:
        yield FieldError("", f"must be at most {MAX_BYTES} bytes of JSON, got {size}")
        return
    if not any(getattr(value, channel) for channel in CHANNELS) and not value.translations:
        yield FieldError("", f"must have at least one of: {', '.join(CHANNELS)}")
    yield from _parts_errors("", value)
    for locale, parts in value.translations.items():
        if not locale or len(locale) > MAX_LOCALE:
            yield FieldError("translations", f"must name locales such as de or de-AT, got {locale[:MAX_LOCALE]!r}")
        yield from _parts_errors(f"translations.{locale}.", parts)


def _parts_errors(prefix: str, parts: Parts) -> validation.FieldErrors:
    for channel in CHANNELS:
        part = getattr(parts, channel)
        for name in () if part is None else part.__struct_fields__:
            source = getattr(part, name)
            if isinstance(source, str) and name != "layout":
                yield from _syntax_errors(f"{prefix}{channel}.{name}", source, is_html=name == "html")


def _syntax_errors(field: str, source: str, *, is_html: bool) -> validation.FieldErrors:
    yield from validation.encodable(field, source)
    try:
        check_syntax(source, is_html=is_html)
    except TemplateError as error:
        yield FieldError(field, f"line {error.line}: {error.message}")


KIND = objects.Kind(
    plural="templates",
    name="template",
    tag="Objects",
    type=Template,
    rules=_check,
    example={
        "inbox": {"title": "New booking by {{ data.client }}"},
        "email": {"subject": "New booking", "html": "<p>{{ data.client }} booked {{ data.when | datetime }}.</p>"},
    },
)
HANDLERS = objects.operations(KIND)
