"""Render texts. Syntax is checked when a template is stored, values when it is rendered."""

import asyncio
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import UTC
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from markupsafe import Markup

from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError
from bellcast.templates import budget, formats
from bellcast.templates.budget import TemplateError
from bellcast.templates.types import Template, Variables, locales_of

if TYPE_CHECKING:  # imported with the first text that has a tag: it takes 2 MB
    import jinja2
    from jinja2 import nodes

    from bellcast.templates.sandbox import Environment

T = TypeVar("T")

# Compiling takes about a millisecond, rendering 20 µs. A thousand texts are about 300 templates in three languages.
CACHED_TEXTS = 1000

# Characters of a text that may be compiled on the event loop: about 10 ms. One of sandbox.MAX_TOKENS takes 0.2 s.
MAX_INLINE_CHARACTERS = 500
# Maximum characters of a text that is returned without rendering: far below the size limit of a rendering.
LONGEST_STATIC = 10_000
NOT_SHARED: Any = object()
STOPPED = (
    f"is not rendered, because it took longer than {budget.MAX_SECONDS} s {budget.MAX_SLOW} times in a row: simplify "
    f"it, or try again after {budget.STOPPED_SECONDS:.0f} s"
)
# The layout variable with the wrapped HTML.
CONTENT = "content"


@cache
def _environment(*, is_html: bool) -> "Environment":
    from bellcast.templates.sandbox import Environment  # with the first text that has a tag: it imports Jinja

    return Environment(formats.FILTERS, autoescape=is_html)


@cache
def _plain_words() -> dict[str, str]:
    """Return patterns of Jinja's words for a syntax error, and what an author reads, replaced in this order."""
    import tomllib  # with the first syntax error

    return tomllib.loads(Path(__file__).with_name("plain_words.toml").read_text(encoding="utf-8"))


class TemplateText:
    """A text of a template, which is compiled when it is first used."""

    __slots__ = ("_compiled", "_environment", "_source")

    def __init__(self, source: str, environment: "Environment") -> None:
        self._source = source
        self._environment = environment
        # One value, because several threads may compile a text: with the template, its variables are known.
        self._compiled: tuple[jinja2.Template, frozenset[str]] | TemplateError | None = None

    @property
    def is_compiled(self) -> bool:
        return self._compiled is not None

    def template(self) -> "jinja2.Template":
        """Raises TemplateError."""
        if self._compiled is None:
            import jinja2  # which the environment has imported

            try:
                self._compiled = self._environment.compiled(self._source)
            except jinja2.TemplateSyntaxError as error:
                message, line = error.message or "is not a template", error.lineno
                if message.startswith("unexpected end of template"):  # report the line of the tag that is not closed
                    line = self._source.count("\n", 0, self._source.rfind("{")) + 1
                for pattern, words in _plain_words().items():
                    message = re.sub(pattern, words, message)
                self._compiled = TemplateError(message[:200], line=line)
            except (jinja2.TemplateError, RecursionError, ValueError, SyntaxError, OverflowError, MemoryError) as error:
                raise TemplateError(f"cannot be compiled: {str(error)[:200]}", line=1) from None
        if isinstance(self._compiled, TemplateError):
            raise TemplateError(self._compiled.message, line=self._compiled.line)
        return self._compiled[0]

    def roots(self) -> frozenset[str]:
        """Return the variables that the text reads; none if it is invalid."""
        with suppress(TemplateError):
            self.template()
        return self._compiled[1] if isinstance(self._compiled, tuple) else frozenset()


@lru_cache(CACHED_TEXTS)
def text_of(source: str, *, is_html: bool) -> TemplateText:
    return TemplateText(source, _environment(is_html=is_html))


def check_template(source: str, roots: AbstractSet[str], *, is_html: bool = False) -> None:
    """Raise TemplateError with the line if the text is not a valid template, or reads a variable outside of `roots`."""
    from jinja2 import nodes  # as the environment does, with the first text that has a tag

    text = text_of(source, is_html=is_html)
    text.template()
    unknown = text.roots() - roots
    if not unknown:
        return
    tree = parse(source, is_html=is_html)
    # Jinja also reports variables that only one branch of an `if` sets.
    unknown -= {one.name for one in tree.find_all(nodes.Name) if one.ctx != "load"}
    unknown -= {macro.name for macro in tree.find_all(nodes.Macro)}
    read: list[nodes.Name | nodes.NSRef] = [*tree.find_all(nodes.Name), *tree.find_all(nodes.NSRef)]
    for one in read:
        if one.name in unknown:
            message = f"unknown variable {one.name[:100]!r}: expected one of {', '.join(sorted(roots))}"
            raise TemplateError(message, line=one.lineno)


def parse(source: str, *, is_html: bool) -> "nodes.Template":
    """Return the syntax tree of a valid text."""
    return _environment(is_html=is_html).parse(source)


def pieces(source: str) -> Iterator[tuple[bool, str]]:
    """Yield the pieces of a valid template, and whether each is a tag."""
    tag = ""
    for _, kind, value in _environment(is_html=False).lex(source):
        if kind == "data":
            yield False, value
            continue
        tag += value
        if kind.endswith("_end"):
            yield True, tag
            tag = ""


class SharedResults:
    """Results shared by a page of recipients. They are computed from texts that read only `roots`, whose values are the
    same for all recipients."""

    def __init__(self, roots: frozenset[str]) -> None:
        self._roots = roots
        self._results: dict[Hashable, Any] = {}

    def find(self, key: Hashable, sources: Callable[[], Iterable[tuple[str, bool]]], make: Callable[[], T]) -> T:
        """Return the stored result of `make` for this key. If one of its sources (texts, and whether they are HTML)
        reads other variables, or `make` fails, it is called each time."""
        found = self._results.get(key)
        if found is not None:
            return make() if found is NOT_SHARED else found
        result = make()  # which compiles the sources, at the tenant's expense
        is_shared = all(
            _is_static(source) or text_of(source, is_html=is_html).roots() <= self._roots
            for source, is_html in sources()
        )
        self._results[key] = result if is_shared else NOT_SHARED
        return result


class Renderer:
    """Renders the texts of one notification with one set of variables, within a common budget of CPU time. A preview
    (`is_strict` False) renders missing variables as empty and lists them in `missing`."""

    def __init__(self, variables: Variables, *, is_strict: bool = True) -> None:
        self.variables = variables
        self._is_strict = is_strict
        self.missing: list[str] = []
        self._seconds_left = budget.MAX_SECONDS
        self._is_repeated = False
        self._budget = budget.budget_of(variables.tenant)

    def render(
        self, source: str, *, is_html: bool = False, content: str | None = None, locale: str | None = None
    ) -> str:
        """Render a text, with formats of `locale` if given. `content` is the rendered HTML for a layout, which is not
        escaped again. Raises TemplateError."""
        if _is_static(source):
            return _storable(source)
        text = hash((source, self._is_strict))
        if self._budget.is_stopped(text):
            raise TemplateError(STOPPED)
        compiled = text_of(source, is_html=is_html).template
        locale = locale or self.variables.locale
        values = self.variables.values if content is None else {**self.variables.values, CONTENT: Markup(content)}  # noqa: S704  rendered by this class
        try:
            try:
                rendered = self._render_once(compiled, values, locale)
            except budget.TimeExceeded:
                # In a large process, a garbage collection can interrupt this thread for 0.8 s. It does not hit two
                # renderings in a row, so the rendering is repeated, but not for each recipient of a slow text.
                if self._is_repeated or text in self._budget.slow:
                    raise
                self._is_repeated, self._seconds_left = True, budget.MAX_SECONDS
                rendered = self._render_once(compiled, values, locale)
            rendered = _storable(rendered)
        except budget.TimeExceeded:
            self._budget.add_slow(text)
            raise
        except TemplateError as error:
            if error.variable is None or self._is_strict:
                raise
            return ""
        except Exception as error:  # noqa: BLE001  any exception that a template causes is an error of the template
            raise TemplateError(f"cannot be rendered: {str(error)[:200]}") from None
        self._budget.slow.pop(text, None)
        return rendered

    def _render_once(self, compiled: "Callable[[], jinja2.Template]", values: Mapping[str, Any], locale: str) -> str:
        format_locale = formats.find_locale(locale)
        zone = times.find_zone(self.variables.zone) or UTC
        rendering = budget.Rendering(values, self._seconds_left, format_locale, zone, is_strict=self._is_strict)
        token = budget.RENDERING.set(rendering)
        try:
            template = compiled()
            pieces: list[str] = []
            size = 0
            for piece in template.generate(values):
                size += len(piece.encode(errors="replace"))
                if size > budget.MAX_BYTES:
                    raise TemplateError(budget.TOO_LARGE)
                pieces.append(piece)
            return "".join(pieces)
        finally:
            budget.RENDERING.reset(token)
            seconds_before, self._seconds_left = self._seconds_left, rendering.seconds_left()
            self._budget.charge(seconds_before - self._seconds_left)
            self.missing += [path for path in rendering.missing if path not in self.missing]


def _is_static(source: str) -> bool:
    """True for a short text that rendering would not change. Every tag begins with a brace, and in other text Jinja2
    only changes line breaks."""
    return "{" not in source and "\r" not in source and not source.endswith("\n") and len(source) <= LONGEST_STATIC


def _storable(text: str) -> str:
    """Return the text if it can be encoded in UTF-8 and stored in every store. Raises TemplateError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TemplateError("cannot be rendered: the result is not valid Unicode text") from None
    if "\x00" in text:
        raise TemplateError("cannot be rendered: the result contains the NUL character")
    return text


def layout_html(template: Template, locales: Sequence[str]) -> str | None:
    """Return the HTML of a layout in the first of these languages; None if the template is no layout there."""
    part = template.part("email", locales)
    source = None if part is None else part.source
    if source is None:
        return None
    return source if CONTENT in text_of(source, is_html=True).roots() else None


def layout_problem(template: Template, key: str) -> str | None:
    """Return why a template cannot be used as a layout in one of its languages, or None."""
    for locale in ("", *template.translations):
        if layout_html(template, locales_of(locale)) is None:
            return f"the HTML of template {key!r} has no {{{{ content }}}}{in_language(locale)}"
    return None


def lost_layout(before: Template, after: Template) -> str | None:
    """Return a language in which a template was a layout and no longer is, or None. An empty one is the default language."""
    for locale in ("", *before.translations, *after.translations):
        locales = locales_of(locale)
        if layout_html(before, locales) is not None and layout_html(after, locales) is None:
            return locale
    return None


def in_language(locale: str) -> str:
    """Return the end of a message about a language."""
    return f" in {locale}" if locale else ""


class BackgroundCompiler:
    """Compiles the large texts of stored objects in a thread, one object at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def compile(self, body: bytes, *, has_html: bool = True) -> None:
        """Compile the large texts of an object, given as JSON. With `has_html`, those named `html` or `compiled` are HTML. Texts that
        cannot be compiled raise their errors when they are rendered."""
        found: dict[TemplateText, None] = {}
        waiting = [("", msgspec.json.decode(body))] if len(body) > MAX_INLINE_CHARACTERS else []
        while waiting:
            name, one = waiting.pop()
            if isinstance(one, dict):
                waiting += one.items()
            elif isinstance(one, list):
                waiting += [(name, item) for item in one]
            elif isinstance(one, str) and len(one) > MAX_INLINE_CHARACTERS and "{" in one:
                found[text_of(one, is_html=has_html and name in ("html", "compiled"))] = None
        texts = [text for text in found if not text.is_compiled]
        if texts:
            async with self._lock:  # those that wait for the same object find its texts compiled
                await asyncio.to_thread(_compile_all, texts)


def _compile_all(texts: list[TemplateText]) -> None:
    for text in texts:
        text.roots()


def source_errors(field: str, source: str, roots: AbstractSet[str], *, is_html: bool) -> Iterator[FieldError]:
    """Yield the error of a text that is not a valid template, or reads a variable outside of `roots`."""
    yield from validation.encodable(field, source)
    try:
        check_template(source, roots, is_html=is_html)
    except TemplateError as error:
        yield FieldError(field, f"line {error.line}: {error.message}", error.line)
