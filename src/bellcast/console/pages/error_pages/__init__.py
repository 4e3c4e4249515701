"""A page for each error, and the page of unknown paths. They need no scripts and load nothing, so they work offline. Their texts, the usual causes and the remedies of each error, and of codes that are not
HTTP errors, are in `texts.toml`."""

import difflib
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

import msgspec
from msgspec import Struct

from bellcast.console.pages import shell
from bellcast.kernel import errors
from bellcast.kernel.errors import BellcastError, Invalid, NotFound
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.console_sessions import ConsoleSessions
from bellcast.rest import context
from bellcast.rest.operations import operation, public_file

NAMES = re.compile("`([^`]+)`")
STYLE, SCRIPT = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
# Pages that are suggested for similar paths, by their names.
PAGES = ("console", "docs", "errors", "check", "theme")
UNKNOWN_PATH = "This path does not exist{} All paths are listed at /docs."

# Where a code that is not an error occurs, by its short name in the file.
ORIGINS = {
    "close": "The `reason` of a `close` frame, and the close code of a WebSocket.",
    "browser": "The browser client reports it as `error.code` of a `Refused`; the server does not send it.",
    "clients": "The clients report it; the server does not send it.",
}
# A request whose `errors` name a field.
EXAMPLE = Invalid.of("title", "must have at most 200 characters")
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
    text = Path(__file__).with_name("texts.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, dict[str, ErrorText]])


@operation("GET", "/errors", tag="Server", required_scope=None, response_types={200: responses.HTML})
async def all_errors(request: ApiRequest) -> ASGIApp:
    """All errors as HTML."""
    groups = {name: list[tuple[str, str, str, ErrorText]]() for name in GROUPS}
    for one in sorted(errors.every(), key=lambda one: (one.status, one.code)):
        groups["rest"].append((one.code, one.title, f"{one.status} {one.code}", texts()["errors"][one.code]))
    for code, text in texts()["reasons"].items():
        groups[text.origin].append((code, text.title, _label(code, text), text))
    index, lists = "", ""
    for name, rows in groups.items():
        title, shown = GROUPS[name], ""
        for code, headline, label, text in rows:
            link = f'<a href="{_base(request)}errors/{code}">{escape(headline)}</a>'
            shown += f"<li>{_code(label)}{link}<p>{_prose(text.remedies[0])}</p></li>"
        index += f'<a href="#{name}">{title} <small>{len(rows)}</small></a>'
        lists += f'<section><h2 id="{name}">{title}</h2><ul class="errors">{shown}</ul></section>'
    search = '<input type="search" aria-label="Search errors" placeholder="Search errors">'
    main = (
        '<h1>Errors</h1><p class="lead">What each code means, and what to do first.</p>'
        f'<div class="index">{search}{index}</div>{lists}<p class="none" role="status" hidden>No error matches.</p>'
    )
    return _page(request, "Errors", main, "list", script=SCRIPT)


@public_file("/errors/{code:str}", responses.HTML, NotFound, is_cached=False, any_query=False)
async def error(request: ApiRequest) -> ASGIApp:
    """Explain an error.

    The `type` of a problem links to this page."""
    code = request_body.path(request, "code")
    text = texts()["errors"].get(code) or texts()["reasons"].get(code)
    if text is None:
        raise NotFound("No error has this code. All errors are listed at /errors")
    refusal = next((one for one in errors.every() if one.code == code), None)
    if refusal is None:
        label, title, meaning, rest = _label(code, text), text.title, text.meaning, ""
        lead = f'<p class="soft">{_prose(ORIGINS[text.origin])}</p>'
    else:
        label, title, meaning, lead = f"{refusal.status} {code}", refusal.title, _meaning(refusal), ""
        shown = EXAMPLE if isinstance(EXAMPLE, refusal) else refusal()
        example = msgspec.json.format(responses.problem_body(shown), indent=2).decode()
        rest = (
            f'<section class="panel"><h2>What the server sends</h2><pre tabindex="0">{escape(example)}</pre>'
            '<p class="soft"><code>detail</code> describes the problem of the specific request. Log lines contain the id in '
            f"the response header <code>X-Request-Id</code>.</p>{_requests(request, refusal.status)}</section>"
        )
    main = (
        f'<p class="badge">{_code(label)}</p><h1>{escape(title)}</h1><p class="lead">{_prose(meaning)}</p>{lead}'
        f'<div class="parts"><section class="panel"><h2>What was wrong</h2>{_bullets(text.causes)}<h2>What to do</h2>'
        f"{_bullets(text.remedies)}</section>{rest}</div>{_neighbors(request, code)}"
    )
    return _page(request, title, main, "one")


def unknown_path(request: ApiRequest, versioned: str) -> ASGIApp:
    """Respond to a path that does not exist: with a page to a browser, with a problem to others, which names the path with `/v1`."""
    if request.scope["method"] != "GET" or not request_body.accepts_html(request):
        return responses.problem(NotFound(UNKNOWN_PATH.format(f"; did you mean {versioned}?" if versioned else ".")))
    base = _base(request)
    links = {"": "Start page", "console": "Console", "docs": "API reference"}
    listed = "".join(
        f'<a class="button{"" if path else " primary"}" href="{base}{path}">{text}</a>' for path, text in links.items()
    )
    path = escape(request.scope["path"])
    near = difflib.get_close_matches(path.strip("/").partition("/")[0], PAGES, 1)
    hint = f' Did you mean <a href="{base}{near[0]}">/{near[0]}</a>?' if near and path != f"/{near[0]}" else ""
    main = (
        f'<p class="badge">{_code("404 not_found")}</p><h1>Page not found</h1>'
        f'<p class="lead">This server has no page at <code>{path}</code>.{hint}</p><p class="buttons">{listed}</p>'
    )
    return _page(request, "Page not found", main, "gone", status=404)


def _page(request: ApiRequest, title: str, main: str, kind: str, *, status: int = 200, script: str = "") -> ASGIApp:
    page = shell.page(
        title,
        f'<main class="{kind}">{main}</main>',
        base=_base(request),
        current="" if kind == "gone" else "errors",
        style=STYLE,
        script=script,
        has_landing=context.of(request).has_landing,
    )
    headers = {"content-security-policy": shell.policy(STYLE, script), "cache-control": "no-cache"}
    return responses.complete(status, page, responses.HTML, headers)


def _base(request: ApiRequest) -> str:
    """Return the path of the server with a trailing slash. Links are not relative, because they would differ between a page's
    URLs with and without a trailing slash."""
    root: str = request.scope["state"]["root_path"]
    return escape(root) + "/"


def _label(code: str, one: ErrorText) -> str:
    return code if one.close_code is None else f"{one.close_code} {code}"


def _code(label: str) -> str:
    """Render a code, with its number before it in the tone of its class."""
    number, _, code = label.rpartition(" ")
    tone = {"4": "refused", "5": "failed"}.get(number[:1], "") if len(number) == len("404") else ""
    chip = f'<b class="{tone}">{number}</b> ' if number else ""
    return f"<code>{chip}{code}</code>"


def _requests(request: ApiRequest, status: int) -> str:
    """Link to the requests with this status, if there is a console."""
    if context.of(request).find(ConsoleSessions) is None:
        return ""
    return f'<p><a href="{_base(request)}console/requests?status={status}">Requests with this status, in the console</a></p>'


def _neighbors(request: ApiRequest, code: str) -> str:
    """Link to the errors before and after this one in the list."""
    titles = {one.code: one.title for one in sorted(errors.every(), key=lambda one: (one.status, one.code))}
    titles |= {code: text.title for code, text in texts()["reasons"].items()}
    codes = list(titles)
    at = codes.index(code)
    links = ((codes[at - 1] if at else None, "← {}"), (codes[at + 1] if at + 1 < len(codes) else None, "{} →"))
    shown = ""
    for other, word in links:
        # Several errors have the same title.
        name = other and word.format(f"{escape(titles[other])} <code>{other}</code>")
        shown += f'<a href="{_base(request)}errors/{other}">{name}</a>' if name else "<span></span>"
    return f'<nav class="others" aria-label="Other errors">{shown}</nav>'


def _prose(text: str) -> str:
    """Render sentences with `names` as code."""
    return NAMES.sub(r"<code>\1</code>", escape(text))


def _bullets(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_prose(one)}</li>' for one in sentences)}</ul>"


def _meaning(one: type[BellcastError]) -> str:
    return " ".join((one.__doc__ or "").split())
