"""A page for each error, and the page of unknown paths. They need no scripts and load nothing, so they work offline. Their texts, the usual causes and the remedies of each error, and of codes that are not
HTTP errors, are in `texts.toml`."""

import difflib
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.console import pages
from bellcast.kernel import errors
from bellcast.kernel.errors import BellcastError, Invalid, NotFound
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.rest import context
from bellcast.rest.operations import operation, public_file

PAGE = Path(__file__).with_name("page.html")
STYLE, SCRIPT = (PAGE.with_suffix(kind).read_text(encoding="utf-8") for kind in (".css", ".js"))
# Pages that are suggested for similar paths, by their names.
PAGES = ("console", "docs", "errors", "check", "theme")
UNKNOWN_PATH = "This path does not exist{} All paths are listed at /docs."

# Where a code that is not an error occurs, by its short name in the file.
ORIGINS = {
    "close": "The `reason` of a `close` frame, and the close code of a WebSocket.",
    "browser": "The browser client reports it as `error.code` of a `Refused`; the server does not send it.",
    "clients": "The clients report it; the server does not send it.",
}
# A refusal with `errors`, which name a field.
EXAMPLE = Invalid.of("title", "must have at most 200 characters")
# The words of JSON that have a colour: a string, which is a name before a colon, and a number.
TOKENS = re.compile(r'("(?:\\.|[^"\\])*")(?=(:)?)|\b\d+\b')
# The groups of the page with all errors: those of requests, and the codes of each origin.
GROUPS = {"rest": "REST", "close": "Live connections", "browser": "Browser client", "clients": "Clients and templates"}


class ErrorText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of one code, as `texts.toml` describes it. `close_code` is None for a code that a client or a template
    reports."""

    title: str = ""
    meaning: str = ""
    origin: str = ""
    close_code: int | None = None
    causes: tuple[str, ...]
    remedies: tuple[str, ...]


@cache
def texts() -> dict[str, dict[str, ErrorText]]:
    """Return the texts of all `errors`, and of the `reasons` that are no errors, by code. Reading them takes 10 ms."""
    import tomllib

    text = Path(__file__).with_name("texts.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, dict[str, ErrorText]])


@operation("GET", "/errors", tag="Server", required_scope=None, response_types={200: responses.HTML})
async def all_errors(request: ApiRequest) -> ASGIApp:
    """All errors as HTML."""
    groups = {name: list[tuple[str, str, ErrorText]]() for name in GROUPS}
    for one in _errors():
        groups["rest"].append((f"{one.status} {one.code}", one.title, texts()["errors"][one.code]))
    for code, text in texts()["reasons"].items():
        groups[text.origin].append((_label(code, text), text.title, text))
    return _page(request, "Errors", "list", script=SCRIPT, groups=groups, titles=GROUPS)


@public_file("/errors/{code:str}", responses.HTML, NotFound, is_cached=False, any_query=False)
async def error(request: ApiRequest) -> ASGIApp:
    """Explain an error.

    The `type` of a problem links to this page."""
    code = request_body.path(request, "code")
    known = {one.code: one for one in _errors()}
    text = texts()["errors"].get(code) or texts()["reasons"].get(code)
    if text is None:
        raise NotFound("No error has this code. All errors are listed at /errors")
    titles = {one.code: one.title for one in known.values()} | {
        key: one.title for key, one in texts()["reasons"].items()
    }
    around = [None, *titles.items(), None]
    at = around.index((code, titles[code]))
    more: dict[str, Any] = {"text": text, "neighbors": (around[at - 1], around[at + 1])}
    refusal = known.get(code)
    if refusal is None:
        label = _label(code, text)
        return _page(request, text.title, "one", label=label, meaning=text.meaning, origins=ORIGINS, **more)
    example = EXAMPLE if isinstance(EXAMPLE, refusal) else refusal()
    return _page(
        request,
        refusal.title,
        "one",
        status=refusal.status,
        label=f"{refusal.status} {code}",
        meaning=" ".join((refusal.__doc__ or "").split()),
        example=_words(msgspec.json.format(responses.problem_body(example), indent=2).decode()),
        has_console=context.of(request).find(ConsoleSessions) is not None,
        **more,
    )


def unknown_path(request: ApiRequest, versioned: str) -> ASGIApp:
    """Respond to a path that does not exist: with a page to a browser, with a problem to others, which names the path with `/v1`."""
    if request.scope["method"] != "GET" or not request_body.accepts_html(request):
        return responses.problem(NotFound(UNKNOWN_PATH.format(f"; did you mean {versioned}?" if versioned else ".")))
    path: str = request.scope["path"]
    near = difflib.get_close_matches(path.strip("/").partition("/")[0], PAGES, 1)
    hint = near[0] if near and path != f"/{near[0]}" else None
    return _page(request, "Page not found", "gone", path=path, near=hint)


def _page(request: ApiRequest, title: str, kind: str, *, script: str = "", **values: Any) -> ASGIApp:
    # Links are not relative, because they would differ between a page's URLs with and without a trailing slash.
    base = request.scope["state"]["root_path"] + "/"
    page = pages.page(
        title,
        pages.template(PAGE).render(values, title=title, kind=kind, base=base),
        base=escape(base),
        current="" if kind == "gone" else "errors",
        style=STYLE,
        script=script,
        has_landing=context.of(request).landing is not False,
    )
    headers = {"content-security-policy": pages.policy(STYLE, script), "cache-control": "no-cache"}
    return responses.complete(404 if kind == "gone" else 200, page, responses.HTML, headers)


def _words(text: str) -> list[tuple[str, str]]:
    """Return the parts of JSON, each with the kind that `code.js` colours, or an empty one."""
    parts, end = list[tuple[str, str]](), 0
    for match in TOKENS.finditer(text):
        kind = "number" if match[1] is None else "string" if match[2] is None else "name"
        parts += ("", text[end : match.start()]), (kind, match[0])
        end = match.end()
    return [*parts, ("", text[end:])]


def _errors() -> list[type[BellcastError]]:
    return sorted(errors.every(), key=lambda one: (one.status, one.code))


def _label(code: str, one: ErrorText) -> str:
    return code if one.close_code is None else f"{one.close_code} {code}"
