"""E-mails from other tools: MJML, or HTML such as React Email writes. Markup that runs, frames, or loads from elsewhere is removed.

Start tags are written again from their attributes, with their values escaped, and comments are dropped. So no browser or mail
program can read markup that this module has not seen. Tags of templates are placeholders meanwhile.
"""

import re
import secrets
from html import escape
from typing import Literal

from bellcast.kernel.errors import Invalid
from bellcast.templates import content_checks, html_tokens, rendering
from bellcast.templates.budget import TemplateError
from bellcast.templates.email_checks import Finding, Severity
from bellcast.templates.types import CONTENT_ROOTS, TemplateEmail

ImportFormat = Literal["mjml", "html"]

# Nested elements of MJML: e-mails have about 15. Its converter is recursive, and overflows the stack at about 1000.
MAX_DEPTH = 50
# Characters that attributes of MJML may become. Each element receives its own, its parent's, and those of `mj-attributes`, and writes
# one up to five times. E-mails make a tenth; without a limit, 256 KiB of MJML become gigabytes, and the converter ends the process.
MAX_EXPANDED = 10_000_000
# Characters of the HTML that the converter makes: no template can store more.
MAX_CONVERTED = 1_000_000
# A carousel has style rules for each pair of images.
MAX_CAROUSEL_IMAGES = 100
# Longer names of elements are read as attributes.
MAX_NAME = 100
# Elements that are removed with their content, and those of which only the tags are.
WITH_CONTENT = frozenset({"script", "iframe", "object", "applet", "frameset"})
TAGS_ONLY = frozenset({"form", "link", "base", "embed", "frame", "mj-include", "mj-font"})
# Elements of MJML whose text must be in an `mj-raw`, such as a loop around sections.
CONTAINERS = frozenset({"mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-hero"})
TAGS_OF_TEMPLATES = {"{{": "}}", "{%": "%}", "{#": "#}"}
RAW = re.compile(r"\{%[-+]?\s*(?:end)?raw\b")
# References in tags of templates: none of them can end the tag.
REFERENCE = re.compile(r"&(?:quot|apos|lt|gt|amp|#39|#34|#x27|#x22);")
OPENING = re.compile(r"\{[{%#]")
SHEET = re.compile(r"(?is)(<style[^>]{0,300}>)(.*?)(?=</style|\Z)")
TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:_.-]*")
ATTRIBUTE_NAME = re.compile(r"[a-z_@:][a-z0-9_:.@-]*")
COMMENT_END = re.compile(r"--!?>")
# Comments with markup for Outlook, and the ends of those around markup for all other programs.
CONDITIONAL = re.compile(r"(?s)(\[if [^\]<>]{1,60}\]>)(.*?)(?:<!\[endif\])?")
REVEALED = re.compile(r"\[if [^\]<>]{1,60}\]><!(?:-- )?|<!\[endif\]")
URL_ATTRIBUTES = frozenset(
    {"href", "src", "action", "formaction", "background", "poster", "xlink:href", "data", "cite"}
)
# Up to the next title, so that many without an end take linear time.
TITLE = re.compile(r"(?is)<title[^>]{0,300}>([^<]*(?:<(?!/?title)[^<]*)*)</title")
RUNNING = re.compile(r"(?i)(?:java|vb|live)script:|data:(?!image/(?:png|gif|jpe?g|webp)[;,])")
IGNORED_IN_URLS = re.compile(r"[\x00-\x20\u200b-\u200f]+")


def part_of(form: ImportFormat, source: str) -> tuple[TemplateEmail, list[Finding]]:
    """Return the e-mail of a template, and what was removed or must be corrected. Raises Invalid for a source that is not
    MJML."""
    import mrml  # 2 MiB, needed only here

    cleaner = _Cleaner(source, is_mjml=form == "mjml")
    text = cleaner.clean()
    if form == "mjml":
        if re.search(r"<mjml[\s>]", text) is None:
            raise Invalid.of("source", "must be MJML, which begins with <mjml>")
        cleaner.check_expansion()
        try:
            text = mrml.to_html(text, render_options=mrml.RenderOptions(fonts={})).content
        except OSError as error:
            raise Invalid.of("source", f"is not MJML: {error}") from None
        if len(text) > MAX_CONVERTED:
            raise Invalid.of("source", f"must make at most {MAX_CONVERTED} characters of HTML, got {len(text)}")
        # The converter writes tags of its own. Whatever an attribute of MJML made of them is read once more.
        text = cleaner.clean(text)
    titles = [one for one in TITLE.findall(text) if one.strip()]
    html = cleaner.filled(text).strip()
    if not html:
        raise Invalid.of("source", "must have content")
    try:
        rendering.check_template(html, CONTENT_ROOTS, is_html=True)
    except TemplateError as error:
        cleaner.report("template_error", f"Line {error.line} of the result: {error.message}", error.line, "error")
    subject = " ".join(html_tokens.unescaped(cleaner.filled(titles[0])).split()) if titles else None
    return TemplateEmail(subject=subject, html=html, layout=None), content_checks.sort(cleaner.findings)


class _Cleaner:
    """Writes markup without what runs or loads."""

    def __init__(self, source: str, *, is_mjml: bool) -> None:
        self.findings: list[Finding] = []
        self._is_mjml = is_mjml
        self._is_comment = False
        self._mark = f"mark{secrets.token_hex(8)}x"  # no source can contain it
        self._elements = self._carousel_images = 0
        self._longest = self._defaults = 0  # characters of attributes: of one element, and of `mj-attributes`
        self._pieces: list[str] = []
        self._is_converted = False
        # Minified CSS: `{#` would begin a comment of the template.
        self._source = self._protected(SHEET.sub(lambda sheet: sheet[1] + sheet[2].replace("{#", "{ #"), source))

    def clean(self, converted: str | None = None) -> str:
        """Return the source, or the HTML that was made of its cleaned MJML, without what is removed, with placeholders."""
        if converted is not None:
            self._source, self._is_mjml, self._is_converted = converted, False, True
        return self._clean(self._source, 0)

    def filled(self, text: str) -> str:
        """Return a text with its tags of templates."""
        return re.sub(f"{self._mark}([0-9]+)x", lambda match: self._pieces[int(match[1])], text)

    def check_expansion(self) -> None:
        """Raise Invalid for MJML whose HTML would be too large."""
        if self._elements * (self._longest + self._defaults) > MAX_EXPANDED:
            raise Invalid.of(
                "source", "makes too much HTML: its elements or the attributes of mj-attributes are too long"
            )
        if self._carousel_images > MAX_CAROUSEL_IMAGES:
            raise Invalid.of("source", f"must have at most {MAX_CAROUSEL_IMAGES} images in carousels")

    def report(self, code: str, message: str, line: int | None, severity: Severity = "warning") -> None:
        self.findings.append(Finding(severity, code, message, line=line))

    def _protected(self, source: str) -> str:
        """Return the source with a placeholder for each tag of a template, also of one that is invalid."""
        parts: list[str] = []
        position = 0
        ends = dict(TAGS_OF_TEMPLATES)
        while (found := OPENING.search(source, position)) is not None:
            end = source.find(ends[found[0]], found.end()) if found[0] in ends else -1
            if end == -1:  # no later one ends either
                ends.pop(found[0], None)
                parts.append(source[position : found.end()])
                position = found.end()
                continue
            parts += [source[position : found.start()], f"{self._mark}{len(self._pieces)}x"]
            tag = source[found.start() : end + 2]
            if RAW.match(tag):  # what is between them would be text for the template, and a tag of it for this module
                self.report("removed", f"{tag[:40]} was removed: write braces as {{{{ '{{{{' }}}}.", None)
                tag = ""
            # Quotes in texts of React are references.
            self._pieces.append(REFERENCE.sub(lambda reference: html_tokens.unescaped(reference[0]), tag))
            position = end + 2
        return "".join([*parts, source[position:]])

    def _removed(self, what: str, position: int) -> None:
        """Report what is removed at a position of the source."""
        line = None
        # Each count reads the text before it, so only as many lines are counted as are shown.
        if not self._is_converted and len(self.findings) < content_checks.MAX_FINDINGS:
            line = self.filled(self._source[:position]).count("\n") + 1
        if len(self.findings) < content_checks.MAX_FINDINGS:
            self.report(
                "removed",
                f"{' '.join(self.filled(what)[:100].split())} was removed: no mail program may run or load it.",
                line,
            )

    # --- markup

    def _clean(self, source: str, offset: int) -> str:
        """Return markup that begins at `offset` of the source."""
        written: list[str] = []
        position = 0
        stack: list[str] = []
        while (found := html_tokens.MARKUP.search(source, position)) is not None:
            self._text(written, source[position : found.start()], stack)
            start = found.end()
            if source[start] in "!?":
                position = self._declaration(written, source, start, offset)
            elif source[start] == "/":
                end = source.find(">", start)
                position = len(source) if end == -1 else end + 1
                name = source[start + 1 : position].rstrip("> \t\r\n")
                if TAG_NAME.fullmatch(name) and self._mark not in name and not _is_removed(name.lower()):
                    if self._is_mjml and (not stack or stack.pop() != name.lower()):
                        line = self.filled(source[: found.start()]).count("\n") + 1
                        raise Invalid.of("source", f"is not MJML: line {line}: </{name[:50]}> closes no element")
                    written.append(f"</{name}>")
            else:
                position = self._start_tag(written, source, start, offset, stack)
        self._text(written, source[position:], stack)
        if stack:
            raise Invalid.of("source", f"is not MJML: <{stack[-1]}> is not closed")
        return "".join(written)

    def _text(self, written: list[str], text: str, stack: list[str]) -> None:
        # What is removed after a `<` must not make it the beginning of a tag.
        text = text.replace("<", "&lt;")
        is_raw = self._mark in text and stack and stack[-1] in CONTAINERS
        written.append(f"<mj-raw>{text}</mj-raw>" if is_raw else text)

    def _start_tag(self, written: list[str], source: str, start: int, offset: int, stack: list[str]) -> int:
        """Write the start tag whose name begins at `start`; return the position after it, and after what is removed with it."""
        name = html_tokens.TAG_NAME.findall(source[start : start + MAX_NAME])[0]  # a letter follows
        attributes, end = html_tokens.attributes_of(source, start + len(name))
        end = source.find(">", end)
        if end == -1:
            return len(source)
        position, lower = end + 1, name.lower()
        is_closed = source[end - 1] == "/"
        if TAG_NAME.fullmatch(name) is None or self._mark in name:
            self._removed(f"<{name}>", offset + start)
            return position
        is_refresh = lower == "meta" and attributes.get("http-equiv", "").strip().lower() == "refresh"
        if _is_removed(lower) or is_refresh:
            self._removed('<meta http-equiv="refresh">' if is_refresh else f"<{lower}>", offset + start)
            if lower in WITH_CONTENT and not (is_closed and self._is_mjml):
                closing = re.compile(rf"(?i)</{lower}[^>]*>?").search(source, position)
                return len(source) if closing is None else closing.end()
            return position
        kept = "".join(self._attributes(attributes, offset + start))
        is_void = self._is_mjml and lower in html_tokens.VOID
        if self._is_mjml:
            self._elements += 1
            self._carousel_images += lower == "mj-carousel-image"
            size = len(self.filled(kept))
            if "mj-attributes" in stack:
                self._defaults += size
            else:
                self._longest = max(self._longest, size)
        written.append(f"<{name}{kept}{' /' if is_closed or is_void else ''}>")
        if self._is_mjml and not is_closed and not is_void:
            stack.append(lower)
            if len(stack) > MAX_DEPTH:
                raise Invalid.of("source", f"must be nested at most {MAX_DEPTH} elements deep")
        if lower in html_tokens.RAW_TEXT:
            ending = html_tokens.RAW_TEXT[lower].search(source, position)
            until = len(source) if ending is None else ending.start()
            # No program must find a tag in it, wherever it believes that the text ends.
            written.append(
                re.sub(r"<(?=[A-Za-z/!?])", "\\\\3c " if lower == "style" else "&lt;", source[position:until])
            )
            position = until
        return position

    def _attributes(self, attributes: dict[str, str], position: int) -> list[str]:
        """Return the attributes of a tag at a position of the source as they are written."""
        written = []
        marks = re.compile(f"(?:{self._mark}[0-9]+x)*")
        for name, value in attributes.items():
            # A condition may precede an attribute; what an expression writes there could be any attribute.
            found = marks.match(name)
            before = "" if found is None else found[0]
            literal, tags = name[len(before) :], self.filled(before)
            if self._mark in literal or "{{" in tags:
                self._removed(f"The attribute {name}", position)
                continue
            if literal == "":
                written.append(f" {before}")
            elif ATTRIBUTE_NAME.fullmatch(literal) is None:
                continue
            elif literal.startswith("on") or literal == "srcdoc":
                self._removed(f"The attribute {literal}", position)
            elif literal in URL_ATTRIBUTES and RUNNING.match(IGNORED_IN_URLS.sub("", value)):
                self._removed(f"The URL of {literal}, {value[:40]}", position)
            else:
                quoted = escape(value, quote=False).replace('"', "&quot;")
                written.append(f' {before}{" " * bool(before)}{literal}="{quoted}"')
        return written

    def _declaration(self, written: list[str], source: str, start: int, offset: int) -> int:
        """Write the declaration or the conditional comment that begins at `start`, and return the position after it."""
        if not source.startswith("!--", start):
            end = source.find(">", start)
            if source[start : start + 8].lower() == "!doctype" and end != -1:
                written.append("<!doctype html>")
            return len(source) if end == -1 else end + 1
        ending = COMMENT_END.search(source, start + 1)
        inner = source[start + 3 : max(len(source) if ending is None else ending.start(), start + 3)]
        if REVEALED.fullmatch(inner):
            written.append(f"<!--{inner}-->")
        elif not self._is_comment and (conditional := CONDITIONAL.fullmatch(inner)) is not None:
            condition, markup = conditional.groups()
            # Its elements may be closed in another comment, also in MJML.
            is_mjml, self._is_mjml, self._is_comment = self._is_mjml, False, True
            written.append(f"<!--{condition}{self._clean(markup, offset + start + 3 + len(condition))}<![endif]-->")
            self._is_mjml, self._is_comment = is_mjml, False
        return len(source) if ending is None else ending.end()


def _is_removed(name: str) -> bool:
    return name in WITH_CONTENT or name in TAGS_ONLY
