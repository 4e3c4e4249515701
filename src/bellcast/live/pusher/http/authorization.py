"""Auth endpoints for Pusher clients of apps without their own auth endpoint. They sign subscriptions for a session token or
cookie, after the usual permission checks."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from bellcast.auth import permissions
from bellcast.inbox import views
from bellcast.inbox.types.inboxes import Inbox
from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest, Forbidden, Invalid
from bellcast.kernel.http.validation_errors import sentence
from bellcast.kernel.identities import Principal, Project
from bellcast.live.pusher import signatures
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.http.channels import PusherRequest
from bellcast.live.pusher.types import MAX_DEVICE, PusherConfig, aliased
from bellcast.recipients.store.subscriptions import StoredSubscriptions
from bellcast.rest import guards
from bellcast.topics.types import is_encrypted, is_presence


class ChannelAuthForm(Struct, frozen=True):
    """Form that pusher-js sends before it subscribes to a channel."""

    socket_id: str
    channel_name: str


class UserAuthForm(Struct, frozen=True):
    """Form that pusher-js sends before it signs in. `device` identifies the device for clients that receive missed
    events."""

    socket_id: str
    device: str | None = None


async def channel(request: PusherRequest) -> object:
    """`POST /pusher/auth`."""
    requested = _form(request, ChannelAuthForm)
    principal, inbox = await _recipient(request, requested.socket_id)
    name = requested.channel_name
    validation.check(validation.topic("channel_name", name, request.context.limits))
    if is_encrypted(name):
        raise Forbidden("Encrypted channels need the app's own endpoint: only the app knows their keys.")
    ctx, recipient = request.context, principal.recipient or ""
    owners = {aliased(pattern, name) for pattern in ctx[PusherConfig].aliases} - {None}
    if recipient not in owners:
        subscribed = await StoredSubscriptions(ctx.engines.db).among(principal.tenant, recipient, [name])
        public = () if owners else ctx.access.public_topics  # an inbox is never public
        if permissions.grant_of(principal, name, subscribed=name in subscribed, public=public) is None:
            raise Forbidden(f"{name}: {permissions.refusal_of(principal, name)}")
    project = _credentials(request, principal)
    if not is_presence(name):
        return {"auth": signatures.sign(project, signatures.channel_string(requested.socket_id, name))}
    data = _text({"user_id": principal.recipient, "user_info": _info(inbox)})
    return {
        "auth": signatures.sign(project, signatures.channel_string(requested.socket_id, name, data)),
        "channel_data": data,
    }


async def user(request: PusherRequest) -> object:
    """`POST /pusher/user-auth`."""
    requested = _form(request, UserAuthForm)
    principal, inbox = await _recipient(request, requested.socket_id)
    user_data: dict[str, Any] = {"id": principal.recipient, "user_info": _info(inbox)}
    if requested.device is not None:
        validation.check(validation.text("device", requested.device, MAX_DEVICE))
        user_data["device"] = requested.device
    data = _text(user_data)
    signed = signatures.user_string(requested.socket_id, data)
    return {"auth": signatures.sign(_credentials(request, principal), signed), "user_data": data}


def _form(request: PusherRequest, type: type[Any]) -> Any:
    """Parse a form, as pusher-js sends it, or JSON."""
    try:
        if request.body.lstrip().startswith(b"{"):
            return msgspec.json.decode(request.body, type=type)
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=100))
        return msgspec.convert(fields, type)
    except msgspec.ValidationError as wrong:
        raise BadRequest(sentence(wrong, "The body")) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadRequest("The body is neither a form nor JSON.") from None


async def _recipient(request: PusherRequest, socket_id: str) -> tuple[Principal, Inbox]:
    ctx, scope = request.context, request.scope
    principal = await ctx.authenticator.recipient(guards.auth_request(scope), "request")
    if not signatures.is_socket_id(socket_id):
        raise Invalid.of("socket_id", "must be two integers separated by a dot")
    _credentials(request, principal)
    principal, opened = await views.enter(ctx.engines, principal, None, ctx.authenticator.renewed)
    return principal, opened.inbox


def _credentials(request: PusherRequest, principal: Principal) -> Project:
    """Return the credentials of the Pusher app in the session's tenant."""
    app = request.context[PusherAppDirectory].of_tenant(principal.tenant)
    if app is None:
        raise Forbidden("This session belongs to a tenant without a Pusher app.")
    return app.credentials


def _info(inbox: Inbox) -> dict[str, str]:
    return {} if inbox.name is None else {"name": inbox.name}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
