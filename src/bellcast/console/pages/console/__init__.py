"""The console: serves its page and modules, which use the documented REST API only. The API reference: the OpenAPI document, and a page
that shows it with modules of the console. The template editor in a frame of an app's page: it has no cookies; requests carry an
editor token, which the app's page passes to the frame in a message."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bellcast.auth import tokens
from bellcast.console import pages
from bellcast.console.pages import ServedFile, read_folder
from bellcast.kernel.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators import http as operators_http
from bellcast.rest import context, editor_access, guards
from bellcast.rest.operations import operation, public_file
from bellcast.templates import http as templates
from bellcast.templates.http import DraftLookQuery

IMPORT = re.compile(r"^(?:import|export) .*from '\./(.+?)';", re.MULTILINE)
FOLDER = Path(__file__).parent / "files"
# Third-party libraries, bundled by npm. They are missing if Bellcast was installed from a checkout without Node.js.
VENDOR = "vendor/"
# No inline scripts or styles, no embedding in frames, and no conversion of text to HTML or scripts (Trusted Types).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
VERSIONED = re.compile("^~[0-9a-f]+/")
KEPT = "max-age=31536000, immutable"
HEADERS = {
    # Revalidated on every load, so that an upgrade of the server also upgrades the console.
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


@cache
def version() -> str:
    """Return the segment before the files' names in the pages. It changes with any of the files, so browsers may keep them."""
    etags = "".join(name + one.etag for name, one in read_folder(FOLDER).items())
    return f"~{hashlib.sha256(etags.encode()).hexdigest()[:12]}"


def file(request: ApiRequest, headers: Mapping[str, str], kept_by: Literal["public", "private"] = "public") -> ASGIApp:
    """Return the module or the style sheet that a path names. A page of another version, which was opened before an upgrade
    or is of another node, gets that of this one. A file of this version may be kept by shared caches too, or only by the
    browser (`private`)."""
    named = request_body.path(request, "name")
    name = VERSIONED.sub("", named)
    if (found := read_folder(FOLDER).get(name)) is None:
        cause = ": the client was not built with npm" if name.startswith(VENDOR) else "."
        raise NotFound(f"This installation has no {name}{cause}")
    kept = {"cache-control": f"{kept_by}, {KEPT}"} if named == f"{version()}/{name}" else {}
    return found.respond(request, {**headers, **kept})


@cache
def first_modules(*names: str) -> set[str]:
    """Return modules and those that they import statically: a page preloads them, because discovering them import by import would
    take four round trips."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += IMPORT.findall(read_folder(FOLDER)[one].body.decode())
    return found


def page(request: ApiRequest, name: str, path: str, *modules: str, **values: str) -> bytes:
    """Return a page with these values, and its modules, with their files below the path."""
    root: str = request.scope["state"]["root_path"]
    shown = {"root": root, "files": f"{root}/{path}/{version()}", "modules": sorted(first_modules(*modules)), **values}
    return pages.template(FOLDER / name).render(shown).encode()


@public_file("/console", responses.HTML, Forbidden, NotFound, is_cached=False)
async def show(request: ApiRequest) -> ASGIApp:
    """Show the console.

    `BELLCAST_CONSOLE=off` turns it off."""
    return _shown(request)


@public_file("/console/{name:path}", responses.HTML, Forbidden, NotFound)
async def show_page(request: ApiRequest) -> ASGIApp:
    """Show a page of the console, or return one of its modules."""
    try:
        name = request_body.path(request, "name")
    except BadRequest:  # the page shows that it does not exist
        return _shown(request)
    if name not in read_folder(FOLDER) and not name.startswith((VENDOR, "~")):
        return _shown(request)
    operators_http.sessions(request).check_network(guards.auth_request(request.scope).address)
    # A shared cache would also respond to networks that are refused here.
    return file(request, HEADERS, "private")


def _shown(request: ApiRequest) -> ASGIApp:
    """Return the page, which is the same for every path: its router reads the path."""
    operators_http.sessions(request).check_network(guards.auth_request(request.scope).address)
    headers = {**HEADERS, "content-security-policy": POLICY}
    return responses.complete(200, page(request, "index.html", "console", "console.js"), responses.HTML, headers)


# The page is open to everyone, also where the console is off.
REFERENCE_HEADERS = {"content-security-policy": POLICY, "cache-control": "no-cache"}


@operation(
    "GET",
    "/openapi.json",
    tag="Server",
    required_scope=None,
    response_types={200: dict[str, Any]},
    id="reference.document",
)
async def document(request: ApiRequest) -> ASGIApp:
    """This document."""
    described: ServedFile = request.scope["state"]["document"]()
    return described.respond(request, {})


@public_file("/docs", responses.HTML, is_cached=False, any_query=False, id="reference.show")
async def show_reference(request: ApiRequest) -> ASGIApp:
    """The API reference as a page.

    It sends requests with the session of the operator who is signed in to the console, or with a key."""
    shown = page(request, "reference.html", "docs", "reference.js")
    return responses.complete(200, shown, responses.HTML, REFERENCE_HEADERS)


@public_file("/docs/{name:path}", responses.HTML, NotFound, any_query=False, id="reference.file")
async def reference_file(request: ApiRequest) -> ASGIApp:
    """Return a file of the API reference."""
    return file(request, REFERENCE_HEADERS)


# --- the template editor

UNDECLARED = "No page may embed the editor: add the app's origin to BELLCAST_ORIGINS."


def _ancestors(request: ApiRequest) -> str:
    """Return the pages that may show the frame. Raises Forbidden if there are none."""
    origins = context.of(request).access.origins
    if not origins:
        raise Forbidden(UNDECLARED)
    return " ".join(["'self'", *origins])


@public_file("/embed/template-editor", responses.HTML, Forbidden, is_cached=False, id="embed.show")
async def show_editor(request: ApiRequest) -> ASGIApp:
    """Show the template editor in a frame.

    Only pages of `BELLCAST_ORIGINS` may embed it. Without any, the response is 403. Use `<bellcast-template-editor>`."""
    policy = POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {_ancestors(request)}")
    headers = {"cache-control": "no-cache", "content-security-policy": policy}
    shown = page(request, "embed.html", "embed", "embed.js", "template-editor.js")
    return responses.complete(200, shown, responses.HTML, headers)


@operation(
    "POST",
    "/embed/template-preview",
    tag="Server",
    required_scope=None,
    query=DraftLookQuery,
    body_types=(request_body.FORM,),
    response_types={200: responses.HTML},
    refusals=(Forbidden, NotFound, Unauthenticated),
    id="embed.preview",
)
async def preview_editor(request: ApiRequest) -> ASGIApp:
    """Preview an e-mail in the embedded editor.

    A form, because a frame sends no headers: `token` is the editor token, `key` the template, and `request` the JSON of
    `POST /v1/templates/{key}/html`."""
    ancestors, ctx = _ancestors(request), context.of(request)
    fields = request_body.form_fields(await request_body.raw(request, ctx.limits.request))
    token = fields.get("token", "")
    if len(token) > tokens.MAX_LENGTH:
        raise Unauthenticated
    claims = await editor_access.verified(ctx, token)
    scope: Any = request.scope
    scope["path_params"] = {"key": fields.get("key", "")}
    editor_access.become(request, claims)
    return await templates.embedded_html(request, fields.get("request", "").encode(), ancestors)


@public_file("/embed/{name:path}", "text/javascript", NotFound, id="embed.module")
async def editor_module(request: ApiRequest) -> ASGIApp:
    """Return a module of the embedded editor."""
    return file(request, {"cache-control": "no-cache", "cross-origin-resource-policy": "same-origin"})
