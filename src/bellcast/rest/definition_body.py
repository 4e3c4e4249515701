"""Objects in request bodies, as JSON or YAML. Errors of YAML name their lines."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid
from bellcast.kernel.http import request_body
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, tenants

if TYPE_CHECKING:  # imported with the first YAML
    from bellcast.kernel.yaml_text import YamlText

MEDIA_TYPES = ("application/json", "application/yaml")
# Bounds the cost of each use: objects are always loaded as a whole.
MAX_BYTES = 256 * 1024


async def read(request: ApiRequest, added: Collection[str]) -> tuple[str, Any, "YamlText | None"]:
    """Return the tenant of a write, the object in its body without the fields `added` by a read, and the YAML text it
    was read from. Raises Invalid."""
    from bellcast.kernel.yaml_text import YamlText

    text: YamlText | None = None
    if request_body.media_type(request) in request_body.YAML_TYPES:
        limit = min(context.of(request).limits.request or MAX_BYTES, MAX_BYTES)
        # In a thread: parsing MAX_BYTES takes seconds and would block the event loop.
        text = await asyncio.to_thread(YamlText, await request_body.raw(request, limit))
        value = text.value
        validation.check(validation.data("", value, MAX_BYTES))
    else:
        value = request_body.plain_json(await request_body.json_text(request))
    try:
        tenant, value = split(request, value, added)
    except Invalid as refusal:
        raise with_lines(refusal, text) from None
    return tenant, value, text


def split(request: ApiRequest, value: Any, added: Collection[str]) -> tuple[str, Any]:
    """Return the tenant of a write, which the query or the body names, and the body without the fields `added` by a
    read. Raises Invalid."""
    tenant = tenants.tenant_of_object(request, value)
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in added}
    return tenant, value


def with_lines(refusal: Invalid, text: "YamlText | None") -> Invalid:
    """Return the error with the line of each field in the YAML text."""
    return refusal if text is None else Invalid.fields(text.with_lines(refusal.errors))
