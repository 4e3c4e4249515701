"""The template editor in a frame of an app's page: its page and modules, and its previews. It has no cookies; requests carry an
editor token, which the app's page passes to the frame in a message."""

from html import escape
from typing import Any

from bellcast.auth import tokens
from bellcast.console.pages import console
from bellcast.kernel.errors import Forbidden, NotFound, Unauthenticated
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, editor_access
from bellcast.rest.operations import operation, public_file
from bellcast.templates.http import templates
from bellcast.templates.http.templates import DraftLookQuery

UNDECLARED = "No page may embed the editor: add the app's origin to BELLCAST_ORIGINS."


def _ancestors(request: ApiRequest) -> str:
    """Return the pages that may show the frame. Raises Forbidden if there are none."""
    origins = context.of(request).access.origins
    if not origins:
        raise Forbidden(UNDECLARED)
    return " ".join(["'self'", *origins])


@public_file("/embed/template-editor", responses.HTML, Forbidden, is_cached=False)
async def show(request: ApiRequest) -> ASGIApp:
    """Show the template editor in a frame.

    Only pages of `BELLCAST_ORIGINS` may embed it. Without any, the response is 403. Use `<bellcast-template-editor>`."""
    policy = console.POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {_ancestors(request)}")
    scope: Any = request.scope
    root = escape(scope["state"]["root_path"])
    text = console.template("embed.html", "embed", "embed.js", "template-editor.js").substitute(root=root)
    headers = {"cache-control": "no-cache", "content-security-policy": policy}
    return responses.complete(200, text.encode(), responses.HTML, headers)


@operation(
    "POST",
    "/embed/template-preview",
    tag="Server",
    required_scope=None,
    query=DraftLookQuery,
    body_types=(request_body.FORM,),
    response_types={200: responses.HTML},
    refusals=(Forbidden, NotFound, Unauthenticated),
)
async def preview(request: ApiRequest) -> ASGIApp:
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


@public_file("/embed/{name:path}", "text/javascript", NotFound)
async def module(request: ApiRequest) -> ASGIApp:
    """Return a module of the embedded editor."""
    return console.file(request, {"cache-control": "no-cache", "cross-origin-resource-policy": "same-origin"})
