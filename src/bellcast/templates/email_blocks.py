"""E-mails made of blocks: blocks become MJML, and MJML becomes the HTML of a template, once per write.

Placeholders replace the tags of templates and all texts in the MJML, so its converter sees only the markup of this module. The
result is a fragment: style rules for the columns, then sections. A layout moves the rules into the head of the document.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape

import msgspec

from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.templates import conditions, html, rendering, types
from bellcast.templates.formats import EMAIL_SCHEMES

# Maximum nesting of blocks: a list in a column of a list.
MAX_BLOCK_DEPTH = 3
ITEM = "item"  # the variable of a list
DEFAULT_LIMIT = 20  # items of a list
# Characters of HTML that the blocks of a template make in all its languages: ten e-mails of the size at which Gmail cuts.
MAX_COMPILED = 1_000_000
# Pixels. The base layout of 600 px has a padding of 32 px on each side.
WIDTH = "536px"
SIZES = {1: "24px", 2: "20px", 3: "17px"}
STYLE = "brand.style"  # the variable with the tenant's colors and font
STYLE_RULES = re.compile(r'(?s)<style type="text/css">(@media.*?)</style>')
SECTIONS = re.compile(r"(?s)<body[^>]*>\s*<div[^>]*>(.*)</div>\s*</body>")
# Attributes of every text.
TEXT_STYLE = ("font-family", "font"), ("color", "text_color")


def errors_of(path: str, blocks: Sequence[types.Block]) -> validation.FieldErrors:
    """Return the errors of an e-mail's blocks, with the path of each."""
    found = list(nested(path, blocks, 1, types.CONTENT_ROOTS))
    if len(found) > types.MAX_BLOCKS:
        yield FieldError(path, f"must be at most {types.MAX_BLOCKS} blocks, nested ones included, got {len(found)}")
        return
    keys: set[str] = set()
    contents = 0
    for where, block, depth, roots in found:
        if depth > MAX_BLOCK_DEPTH:
            yield FieldError(where, f"must be nested at most {MAX_BLOCK_DEPTH} levels deep")
        if block.key is not None and block.key in keys:
            yield FieldError(f"{where}.key", f"must be unique: {block.key[:100]!r} is used twice")
        keys.add(block.key or "")
        contents += isinstance(block, types.ContentBlock)
        if isinstance(block, types.ContentBlock) and (depth > 1 or contents > 1):
            yield FieldError(where, "must be content once, at the top level")
        yield from _block_errors(where, block, roots)


def _block_errors(where: str, block: types.Block, roots: frozenset[str]) -> validation.FieldErrors:
    variables = roots - {"steps"}
    if block.key is not None:
        yield from validation.text(f"{where}.key", block.key, MAX_OBJECT_KEY)
    if block.condition is not None:
        yield from conditions.errors_of(f"{where}.if", block.condition, frozenset(), variables)
    for name, source in texts(block):
        yield from rendering.source_errors(f"{where}.{name}", source, roots, is_html=True)
        if name in ("url", "src") and "{" not in source and not source.startswith(EMAIL_SCHEMES):
            yield FieldError(f"{where}.{name}", "must begin with https://, http://, mailto: or tel:")
    if isinstance(block, types.ListBlock):
        yield from conditions.variable_errors(f"{where}.each", block.each, frozenset(), variables)
        if not all(part.isidentifier() for part in block.each.split(".")):
            yield FieldError(f"{where}.each", "must be a path such as data.items")
    if isinstance(block, types.ColumnsBlock):
        widths = [column.width or 0 for column in block.columns]
        if any(widths) and (sum(widths) != 100 or 0 in widths):
            yield FieldError(f"{where}.columns", "must all have a width, 100 percent together, or none")
        if ".columns." in where:
            yield FieldError(where, "must not be columns in a column")


def nested(
    path: str, blocks: Sequence[types.Block], depth: int, roots: frozenset[str]
) -> Iterator[tuple[str, types.Block, int, frozenset[str]]]:
    """Yield all blocks with their path, their depth and the variables that they may read."""
    for number, block in enumerate(blocks):
        where = f"{path}.{number}"
        yield where, block, depth, roots
        if depth > MAX_BLOCK_DEPTH:
            continue
        if isinstance(block, types.ListBlock):
            yield from nested(f"{where}.blocks", block.blocks, depth + 1, roots | {ITEM})
        elif isinstance(block, types.ColumnsBlock):
            for column, one in enumerate(block.columns):
                yield from nested(f"{where}.columns.{column}.blocks", one.blocks, depth + 1, roots)


def texts(block: types.Block) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of a block that are templates."""
    for name in ("text", "url", "src", "alt", "html", "empty"):
        text = getattr(block, name, None)
        if isinstance(text, str):
            yield name, text


def to_html(blocks: Sequence[types.Block]) -> str:
    """Return valid blocks as the HTML of a template."""
    import mrml  # 2 MiB, needed only when a template with blocks is saved or shown

    texts = msgspec.json.encode(blocks).decode()
    writer = _Writer(next(mark for number in itertools.count() if (mark := f"mark{number}x") not in texts))
    body = "".join(writer.sections(blocks))
    document = mrml.to_html(f'<mjml><mj-body width="{WIDTH}">{body}</mj-body></mjml>').content
    sections = SECTIONS.search(document)
    rules = "".join(STYLE_RULES.findall(document[: document.index("<body")]))
    return (
        html.BLOCKS_HEAD
        + " ".join(rules.split())
        + html.BLOCKS_HEAD_END
        + writer.filled(sections[1] if sections else "")
    )


def compiled(template: types.Template) -> types.Template:
    """Return a valid template with the HTML of its blocks. Raises Invalid if it is too large."""
    size = 0

    def to_html_within_limit(mail: types.TemplateEmail) -> str | None:
        nonlocal size
        html = None if mail.blocks is None else to_html(mail.blocks)
        size += len(html or "")
        if size > MAX_COMPILED:
            raise Invalid.of("email.blocks", f"must make at most {MAX_COMPILED} characters of HTML in all languages")
        return html

    return _with_compiled(template, to_html_within_limit)


def source(template: types.Template) -> types.Template:
    """Return a template without the HTML that `compiled` adds."""
    return _with_compiled(template, lambda _: None)


def _with_compiled(template: types.Template, make: Callable[[types.TemplateEmail], str | None]) -> types.Template:
    made = {
        locale: msgspec.structs.replace(parts, email=msgspec.structs.replace(parts.email, compiled=make(parts.email)))
        for locale, parts in (("", template), *template.translations.items())
        if parts.email is not None
    }
    email = made.pop("", template).email
    return msgspec.structs.replace(template, email=email, translations=template.translations | made)


class _Writer:
    """Writes blocks as MJML. Placeholders, such as `mark0x12x`, begin with a mark that no text of the blocks has."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._pieces: list[str] = []

    def filled(self, text: str) -> str:
        """Return the text with its placeholders replaced, and those of the inserted texts."""
        while self._mark in text:
            text = re.sub(f"{self._mark}([0-9]+)x", lambda match: self._pieces[int(match[1])], text)
        return text

    def _put(self, piece: str) -> str:
        self._pieces.append(piece)
        return f"{self._mark}{len(self._pieces) - 1}x"

    # --- structure

    def sections(self, blocks: Sequence[types.Block]) -> Iterator[str]:
        """Yield the children of the body. Neighbours that fit into one column share a section."""
        for fits, neighbours in itertools.groupby(blocks, _fits_into_column):
            if fits:
                yield self._section([("", [self._block(one) for one in neighbours])])
            else:
                yield from map(self._block, neighbours)

    def _section(self, columns: Sequence[tuple[str, Sequence[str]]]) -> str:
        inner = "".join(f"<mj-column{width}>{''.join(blocks)}</mj-column>" for width, blocks in columns)
        return f'<mj-section padding="0">{inner}</mj-section>'

    def _repeated(self, block: types.ListBlock, blocks: Sequence[str], empty: Sequence[str]) -> str:
        items = f"({block.each} | default([], true))[:{block.limit or DEFAULT_LIMIT}]"
        otherwise = [self._tag("else"), *empty] if empty else []
        return "".join([self._tag(f"for {ITEM} in {items}"), *blocks, *otherwise, self._tag("endfor")])

    def _wrapped(self, block: types.Block, inner: str) -> str:
        """Return the block's MJML within its condition."""
        if block.condition is None:
            return inner
        # ASCII in JSON: a text of the condition can end no tag of the template.
        condition = json.dumps(json.dumps(block.condition))
        names = {path.partition(".")[0] for path in conditions.paths_of(block.condition)}
        roots = ", ".join(f"{one}={one} | default(none)" for one in sorted(names))
        return f"{self._tag(f'if {condition} | holds({roots})')}{inner}{self._tag('endif')}"

    def _tag(self, inner: str) -> str:
        return f"<mj-raw>{self._put('{% ' + inner + ' %}')}</mj-raw>"

    # --- blocks

    def _block(self, block: types.Block) -> str:
        """Return the children of a column if the block fits into one, else sections."""
        match block:
            case types.HeadingBlock():
                level = block.level or 1
                title = f'<h{level} style="margin:0;font:inherit">{self._plain(block.text)}</h{level}>'
                inner = self._mj_text(block, title, f'font-size="{SIZES[level]}" font-weight="700" line-height="1.3"')
            case types.TextBlock():
                inner = self._text(block.text, block)
            case types.ButtonBlock():
                color, text_color = self._put(f"{{{{ {STYLE}.color }}}}"), self._put(f"{{{{ {STYLE}.button_text }}}}")
                is_primary = block.style != "secondary"
                look = (
                    f'background-color="{color}" color="{text_color}"'
                    if is_primary
                    else f'background-color="transparent" color="{color}" border="1px solid {color}"'
                )
                font, radius = self._put(f"{{{{ {STYLE}.font }}}}"), self._put(f"{{{{ {STYLE}.radius }}}}")
                inner = (
                    f'<mj-button href="{self._url(block.url)}" align="{block.align or "left"}" {look} border-radius="{radius}" '
                    f'font-family="{font}" font-size="15px" font-weight="600" inner-padding="12px 22px" padding="8px 0 24px">'
                    f"{self._put(self._plain(block.text))}</mj-button>"
                )
            case types.ImageBlock():
                width = "" if block.width is None else f' width="{block.width}px"'
                link = "" if block.url is None else f' href="{self._url(block.url)}"'
                inner = (
                    f'<mj-image src="{self._url(block.src)}" alt="{self._put(self._plain(block.alt))}"{width}{link} '
                    f'align="{block.align or "center"}" padding="0 0 16px" />'
                )
            case types.DividerBlock():
                inner = '<mj-divider border-width="1px" border-color="#e5e7eb" padding="8px 0 24px" />'
            case types.HtmlBlock():
                inner = self._mj_text(block, block.html, "")
            case types.ContentBlock():
                inner = f"<mj-raw>{self._put('{{ content }}')}</mj-raw>"
            case types.ColumnsBlock():
                columns = [[self._block(each) for each in one.blocks] for one in block.columns]
                widths = ["" if one.width is None else f' width="{one.width}%"' for one in block.columns]
                inner = self._section([*zip(widths, columns, strict=True)])
            case types.ListBlock():
                empty = [] if block.empty is None else [self._text(block.empty, block)]
                if _fits_into_column(block):
                    inner = self._repeated(block, [self._block(one) for one in block.blocks], empty)
                else:
                    empty = [self._section([("", empty)])] if empty else []
                    inner = self._repeated(block, list(self.sections(block.blocks)), empty)
            case _:
                raise AssertionError(block)
        return self._wrapped(block, inner)

    def _text(self, text: str, block: types.Block) -> str:
        # A link whose URL begins with a variable is made absolute for the conversion only.
        begun = re.compile(rf"\]\(({self._mark}[0-9]+x[^()\s]*)\)")
        urls: list[str] = []

        def checked(match: re.Match[str]) -> str:
            urls.append(self._put(f"{{% filter email_url %}}{escape(match[1])}{{% endfilter %}}"))
            return f"](https://{urls[-1]})"

        paragraphs = html.from_markdown(begun.sub(checked, self._protected(text)), None)
        for url in urls:
            paragraphs = paragraphs.replace(f"https://{url}", url)
        return self._mj_text(block, paragraphs, 'font-size="16px" line-height="1.55"')

    def _mj_text(self, block: types.Block, inner: str, style: str) -> str:
        shown = " ".join(f'{name}="{self._put(f"{{{{ {STYLE}.{field} }}}}")}"' for name, field in TEXT_STYLE)
        padding = "0" if isinstance(block, types.TextBlock | types.ListBlock) else "0 0 12px"
        return (
            f'<mj-text {shown} {style} padding="{padding}" align="{block.align or "left"}">{self._put(inner)}</mj-text>'
        )

    # --- texts

    def _protected(self, source: str) -> str:
        """Return a text with placeholders for the tags of its template."""
        return "".join(self._put(piece) if is_tag else piece for is_tag, piece in rendering.pieces(source))

    def _plain(self, source: str) -> str:
        """Return a text as HTML, with placeholders for its tags."""
        return escape(self._protected(source))

    def _url(self, source: str) -> str:
        """Return the placeholder of a URL. If variables turn it into one that no e-mail may have, it is empty."""
        url = escape(self._protected(source))
        return self._put(f"{{% filter email_url %}}{url}{{% endfilter %}}" if self._mark in url else url)


def _fits_into_column(block: types.Block) -> bool:
    if isinstance(block, types.ListBlock):
        return all(_fits_into_column(inner) for inner in block.blocks)
    return not isinstance(block, types.ColumnsBlock | types.ContentBlock)
