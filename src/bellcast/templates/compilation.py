"""Templates as authors write them: their checks, and the HTML of their blocks."""

import re
from collections.abc import Callable

import msgspec

from bellcast.inbox.types import notifications
from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import CHANNELS
from bellcast.rest import objects
from bellcast.templates import email_blocks
from bellcast.templates.rendering import source_errors
from bellcast.templates.types import CONTENT_ROOTS, MAX_LOCALE, Parts, Template, TemplateEmail

# Recipients' `de_AT` is looked up as `de-AT`, so a key with an underscore would never be found.
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
# Characters of HTML that the blocks of a template make in all its languages: ten e-mails of the size at which Gmail cuts.
MAX_COMPILED = 1_000_000


def errors(value: Template, limits: Limits) -> validation.FieldErrors:
    """Yield the errors of a template that an author wrote, without those of its references."""
    size = len(msgspec.json.encode(value))
    if size > objects.MAX_BODY_BYTES:
        yield FieldError("", f"must be at most {objects.MAX_BODY_BYTES} bytes of JSON, got {size}")
        return
    if not any(getattr(value, channel) for channel in CHANNELS) and not value.translations:
        yield FieldError("", f"must have at least one of: {', '.join(CHANNELS)}")
    yield from _parts_errors("", value, limits)
    for locale, parts in value.translations.items():
        if LOCALE.fullmatch(locale) is None or len(locale) > MAX_LOCALE:
            yield FieldError("translations", f"must name locales such as de or de-AT, got {locale[:MAX_LOCALE]!r}")
        yield from _parts_errors(f"translations.{locale}.", parts, limits)


def _parts_errors(prefix: str, parts: Parts, limits: Limits) -> validation.FieldErrors:
    for field, text in parts.texts():
        yield from source_errors(prefix + field, text, CONTENT_ROOTS, is_html=field == "email.html")
    if parts.email is not None and parts.email.blocks is not None:
        if parts.email.html is not None:
            yield FieldError(f"{prefix}email.blocks", "must not be combined with html")
        yield from email_blocks.errors_of(f"{prefix}email.blocks", parts.email.blocks)
    if parts.inbox is not None and parts.inbox.actions:
        # The URL is checked when it is rendered.
        shapes = [msgspec.structs.replace(one, url=None if one.url is None else "/") for one in parts.inbox.actions]
        yield from notifications.actions(f"{prefix}inbox.actions", shapes, limits)


def compiled(template: Template) -> Template:
    """Return a valid template with the HTML of its blocks. Raises Invalid if it is too large."""
    size = 0

    def made(mail: TemplateEmail) -> str | None:
        nonlocal size
        html = None if mail.blocks is None else email_blocks.to_html(mail.blocks)
        size += len(html or "")
        if size > MAX_COMPILED:
            raise Invalid.of("email.blocks", f"must make at most {MAX_COMPILED} characters of HTML in all languages")
        return html

    return _with_compiled(template, made)


def source(template: Template) -> Template:
    """Return a template without the HTML that `compiled` adds."""
    return _with_compiled(template, lambda _: None)


def _with_compiled(template: Template, make: Callable[[TemplateEmail], str | None]) -> Template:
    made = {
        locale: msgspec.structs.replace(parts, email=msgspec.structs.replace(parts.email, compiled=make(parts.email)))
        for locale, parts in (("", template), *template.translations.items())
        if parts.email is not None
    }
    email = made.pop("", template).email
    return msgspec.structs.replace(template, email=email, translations=template.translations | made)
