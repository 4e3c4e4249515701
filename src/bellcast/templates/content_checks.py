"""Checks of a template that an author wrote: the errors with which it is refused, and before it is published, what its author
should see, by channel, language and block."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from bellcast.inbox import types as notification_types
from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import CHANNELS, Channel
from bellcast.rest.objects import MAX_BODY_BYTES
from bellcast.templates import email_blocks, email_checks, rendering, types
from bellcast.templates.email_checks import Finding
from bellcast.templates.html import to_text
from bellcast.templates.variables import SchemaPaths

# Gmail cuts larger e-mails, and with them the link for unsubscribing.
MAX_EMAIL_BYTES = 102_000
# Phones show about 40 characters of a subject, the list of a mail program on a desktop about 70.
MAX_SUBJECT = 70
# Characters of text below which an e-mail with images consists of them.
LEAST_TEXT = 20
MAX_FINDINGS = 200
# Pairs of characters of unknown variables and declared ones that are compared for hints: at most 80 ns each.
MAX_COMPARED = 10_000_000
DATA = "data."
LINK = re.compile(r"\[([^\[\]\n]{0,300})\]\(([^()\s]{0,2000})\)")
# Recipients' `de_AT` is looked up as `de-AT`, so a key with an underscore would never be found.
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
UNSUBSCRIBE = ("unsubscribe_url", "preferences_url")


def errors(value: types.Template, limits: Limits) -> validation.FieldErrors:
    """Yield the errors of a template that an author wrote, without those of its references."""
    size = len(msgspec.json.encode(value))
    if size > MAX_BODY_BYTES:
        yield FieldError("", f"must be at most {MAX_BODY_BYTES} bytes of JSON, got {size}")
        return
    if not any(getattr(value, channel) for channel in CHANNELS) and not value.translations:
        yield FieldError("", f"must have at least one of: {', '.join(CHANNELS)}")
    yield from _parts_errors("", value, limits)
    for locale, parts in value.translations.items():
        if LOCALE.fullmatch(locale) is None or len(locale) > types.MAX_LOCALE:
            shown = repr(locale[: types.MAX_LOCALE])
            yield FieldError("translations", f"must name locales such as de or de-AT, got {shown}")
        yield from _parts_errors(f"translations.{locale}.", parts, limits)


def _parts_errors(prefix: str, parts: types.Parts, limits: Limits) -> validation.FieldErrors:
    for field, text in parts.texts():
        yield from rendering.source_errors(prefix + field, text, types.CONTENT_ROOTS, is_html=field == "email.html")
    if parts.email is not None and parts.email.blocks is not None:
        if parts.email.html is not None:
            yield FieldError(f"{prefix}email.blocks", "must not be combined with html")
        yield from email_blocks.errors_of(f"{prefix}email.blocks", parts.email.blocks)
    if parts.inbox is not None and parts.inbox.actions:
        # The URL is checked when it is rendered.
        shapes = [replace(one, url=None if one.url is None else "/") for one in parts.inbox.actions]
        yield from notification_types.actions(f"{prefix}inbox.actions", shapes, limits)


def sort(findings: Sequence[Finding]) -> list[Finding]:
    """Return different findings, errors first."""
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(dict.fromkeys(findings), key=lambda one: order[one.severity])[:MAX_FINDINGS]


def of_languages(template: types.Template, required: Sequence[str], default: str) -> Iterator[Finding]:
    """Yield the languages without texts that every template must have. Base parts are in the default language."""
    for locale in required:
        names, base = types.locales_of(locale.lower()), types.locales_of(default.lower())
        if default.lower() in names or locale.lower() in base:
            continue
        for channel in CHANNELS:
            if template.has(channel) and not template.locale_of(channel, types.locales_of(locale)):
                text = f"There is no text in {locale}: recipients get another language."
                yield Finding("error", "missing_translation", text, channel, locale)


def of_stale(template: types.Template, earlier: Sequence[types.Template]) -> Iterator[Finding]:
    """Yield the translations that are older than the text they translate. `earlier` are earlier versions, newest first."""
    for locale, parts in template.translations.items():
        for channel in CHANNELS:
            part, base = getattr(parts, channel), getattr(template, channel)
            if part is None or base is None:
                continue
            for version in earlier:
                old = version.translations.get(locale)
                if old is None or getattr(old, channel) != part:
                    break
                if getattr(version, channel) not in (None, base):
                    text = "The text in the default language has changed since this translation."
                    yield Finding("warning", "translation_stale", text, channel, locale)
                    break


class DeclaredPaths:
    """The paths that the senders of texts declare, and whether each is required. All texts of an object share one, and the work
    for its hints."""

    def __init__(self, paths: SchemaPaths) -> None:
        self.required = {path: is_required for path, (_, _, is_required) in paths.items()}
        self._names = [path.removeprefix(DATA) for path in paths]
        self._size, self._left = sum(map(len, self._names)), MAX_COMPARED
        self._hints: dict[str, str] = {}
        self._first_inside: dict[str, str] = {}
        for path in paths:
            for outer in _prefixes(path):
                self._first_inside.setdefault(outer, path)

    def find(self, path: str) -> str | None:
        """Return the declared path that contains this one, or the first inside it; None: it is unknown."""
        return next((one for one in _prefixes(path) if one in self.required), self._first_inside.get(path))

    def hint(self, path: str) -> str:
        """Return the end of a message with the path that is most like an unknown one, for the first ones."""
        work = len(path) * self._size
        if path not in self._hints and work <= self._left:
            self._left -= work
            near = difflib.get_close_matches(path.removeprefix(DATA), self._names, n=1)
            self._hints[path] = f" Do you mean {DATA}{near[0]}?" if near else ""
        return self._hints.get(path, "")


def _prefixes(path: str) -> Iterator[str]:
    """Yield the paths of `data` that contain a path, outer ones first, and itself."""
    parts = path.split(".")
    return (".".join(parts[:length]) for length in range(2, len(parts) + 1))


def of_variables(read: Iterable[types.UsedVariable], declared: DeclaredPaths) -> Iterator[Finding]:
    """Yield variables that no sender declares, or that a send may leave out."""
    for used in read if declared.required else ():
        if not used.path.startswith(DATA):
            continue
        found = declared.find(used.path)
        if found is None:
            text = f"No data schema declares {used.path}.{declared.hint(used.path)}"
            yield Finding("warning", "unknown_variable", text, None, None)
        elif used.is_required and not declared.required[found]:
            text = (
                f"{used.path} may be absent, and the send would be refused: write {{{{ {used.path} | default('…') }}}}."
            )
            yield Finding("warning", "missing_variable", text, None, None)


def of_last_data(read: Iterable[types.UsedVariable], last: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield variables that the last runs of workflows lacked. `last` is their data by workflow."""
    for used in read if last else ():
        if not (used.is_required and used.path.startswith(DATA)):
            continue
        names = used.path.split(".")[1:]
        lacking = next((name for name, data in last.items() if not _has(data, names)), None)
        if lacking is not None:
            text = f"The last run of {lacking} had no {used.path}, and would fail: write {{{{ {used.path} | default('…') }}}}, or send it."
            yield Finding("warning", "missing_variable", text, None, None)


def _has(data: Any, names: Sequence[str]) -> bool:
    return not names or (isinstance(data, Mapping) and names[0] in data and _has(data[names[0]], names[1:]))


def of_source(template: types.Template) -> Iterator[Finding]:
    """Yield the problems of e-mails as they are written."""
    for locale, name, block in _mail_parts(template):
        for problem in _of_block(block):
            line = problem.line if isinstance(block, types.HtmlBlock) else None
            yield replace(problem, locale=locale, block=name, line=line)


def of_code(template: types.Template) -> list[Finding]:
    """Return the places of e-mails that the data of a send can turn into HTML or URLs that run code."""
    return [
        replace(problem, locale=locale, block=name, line=problem.line if isinstance(block, types.HtmlBlock) else None)
        for locale, name, block in _mail_parts(template)
        for _, source in email_blocks.texts(block)
        for problem in email_checks.of_code(source)
    ]


def _mail_parts(template: types.Template) -> Iterator[tuple[str | None, str | None, types.Block]]:
    """Yield the languages, and the blocks of their e-mails with their names. HTML is a block without a name."""
    for locale, parts in ((None, template), *template.translations.items()):
        if parts.email is not None and parts.email.html:
            yield locale, None, types.HtmlBlock(html=parts.email.html)
        for name, block in _blocks(parts.email.blocks or ()) if parts.email is not None else ():
            yield locale, name, block


def of_rendered(
    own: types.Parts, locale: str | None, rendered: Mapping[Channel, Any], layout: types.Template | None
) -> list[Finding]:
    """Return the problems of rendered parts, which are those of one language. `layout` is the template around the e-mail."""
    found: list[Finding] = []
    if own.email is not None and "email" in rendered:
        mail, shown = own.email, rendered["email"]
        found += _of_mail(mail, locale, *(str(shown.get(name) or "") for name in ("subject", "html", "text")))
        if shown.get("html") and not _has_unsubscribe(mail, locale, layout):
            text = "There is no link for unsubscribing: add {{ unsubscribe_url }} or {{ preferences_url }}."
            found.append(Finding("warning", "unsubscribe_missing", text, "email", locale))
    if own.sms is not None and "sms" in rendered:
        message = types.sms_preview(str(rendered["sms"].get("text") or ""))
        if message.segments > 1:
            text = f"It is sent as {message.segments} messages: {message.characters} characters in {message.encoding}."
            found.append(Finding("warning" if message.segments > 2 else "info", "sms_segments", text, "sms", locale))
    if own.push is not None and "push" in rendered:
        body = str(rendered["push"].get("body") or "")
        if len(body) > types.PUSH_CUT:
            text = f"Phones cut the text at about {types.PUSH_CUT} characters; it has {len(body)}."
            found.append(Finding("warning", "push_long", text, "push", locale))
    return found


def _of_mail(mail: types.TemplateEmail, locale: str | None, subject: str, html: str, text: str) -> Iterator[Finding]:
    size = len(html.encode(errors="replace"))
    if size > MAX_EMAIL_BYTES:
        message = f"The HTML has {size:,} bytes; Gmail cuts e-mails of more than {MAX_EMAIL_BYTES:,}."
        yield Finding("error", "size_clip", message, "email", locale)
    if len(subject) > MAX_SUBJECT:
        message = f"The subject has {len(subject)} characters; mail programs show about {MAX_SUBJECT}, phones about 40."
        yield Finding("warning", "subject_long", message, "email", locale)
    if not html:
        return
    plain = to_text(html)
    if not (text or plain).strip():
        message = "There is no text, for those who do not see the HTML."
        yield Finding("warning", "text_missing", message, "email", locale)
    sections = to_text(mail.source) if mail.source else plain
    if "<img" in (mail.source or html) and len(sections.strip()) < LEAST_TEXT:
        message = "The e-mail consists of images: many mail programs show them only on request."
        yield Finding("warning", "image_only", message, "email", locale)
    for problem, shown in email_checks.contrasts(html):
        block, line = _place(mail, shown)
        yield replace(problem, locale=locale, block=block, line=line)


def _has_unsubscribe(mail: types.TemplateEmail, locale: str | None, layout: types.Template | None) -> bool:
    if mail.layout == types.BASE_LAYOUT or (mail.layout is not None and layout is None):
        return True
    around = None if layout is None else rendering.layout_html(layout, types.locales_of(locale))
    sources = [source for source in (mail.source, around) if source]
    return any(not rendering.text_of(one, is_html=True).roots().isdisjoint(UNSUBSCRIBE) for one in sources)


def _place(mail: types.TemplateEmail, excerpt: str) -> tuple[str | None, int | None]:
    """Return the block, or the line of the HTML, that has a text."""
    for name, block in _blocks(mail.blocks or ()):
        if any(excerpt in " ".join(text.split()) for _, text in email_blocks.texts(block)):
            return name, None
    start = (mail.html or "").find(excerpt)
    return None, None if start < 0 else (mail.html or "").count("\n", 0, start) + 1


def _blocks(blocks: Sequence[types.Block]) -> Iterator[tuple[str, types.Block]]:
    """Yield all blocks with their keys, or their paths if they have none."""
    for path, block, _, _ in email_blocks.nested("", blocks, 1, frozenset()):
        yield block.key or path.removeprefix("."), block


def _of_block(block: types.Block) -> Iterator[Finding]:
    blank = email_checks.without_expressions
    match block:
        case types.HtmlBlock(html=source):
            yield from email_checks.of_html(source)
        case types.ButtonBlock(url=url, text=text):
            yield from email_checks.of_link(blank(url), blank(text))
        case types.ImageBlock(src=src, alt=alt, url=url):
            yield from email_checks.of_image(blank(src), alt)
            if url is not None:
                yield from email_checks.of_link(blank(url), "")
        case types.TextBlock() | types.ListBlock():
            text = block.text if isinstance(block, types.TextBlock) else block.empty or ""
            for found in LINK.finditer(blank(text)):
                yield from email_checks.of_link(found[2], found[1])
