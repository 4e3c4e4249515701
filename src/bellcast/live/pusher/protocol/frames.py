"""Frames to Pusher clients. `data` is always a string, with objects encoded as JSON again. Only `pusher:error` has an
object, as the Swift client expects."""

from collections.abc import Iterable
from typing import Any

import msgspec

from bellcast.inbox.types.notifications import Notification
from bellcast.live.inbox_payloads import Payload
from bellcast.live.types.events import Member

EMPTY = "{}"
ERROR_EVENT = "pusher:error"
# Event name of Laravel Echo's `.notification(…)`.
LARAVEL = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"

_encode = msgspec.json.Encoder().encode


def text(data: Any) -> str:
    """Encode data as the string in a frame; strings stay unchanged."""
    return data if isinstance(data, str) else _encode(data).decode()


def text_of(value: str) -> str:
    return _encode(value).decode()


def event(name: str, channel: str | None, data: str, user_id: str | None = None) -> bytes:
    """Encode an event; `user_id` identifies the sender on presence channels."""
    frame: dict[str, Any] = {"event": name}
    if channel is not None:
        frame["channel"] = channel
    frame["data"] = data
    if user_id is not None:
        frame["user_id"] = user_id
    return _encode(frame)


def established(socket_id: str, activity_timeout: float) -> bytes:
    seconds = max(1, round(activity_timeout))
    return event("pusher:connection_established", None, text({"socket_id": socket_id, "activity_timeout": seconds}))


def error(message: str, code: int | None = None) -> bytes:
    """Encode an error that does not close the connection."""
    return _encode({"event": ERROR_EVENT, "data": {"code": code, "message": message}})


def subscribed(channel: str, data: str = EMPTY) -> bytes:
    return event("pusher_internal:subscription_succeeded", channel, data)


def presence_snapshot(ids: Iterable[str], entries: Iterable[str], count: int) -> str:
    """Encode the members of a presence channel for `subscribed`, from fragments of `presence_entry`."""
    return f'{{"presence":{{"ids":[{",".join(ids)}],"hash":{{{",".join(entries)}}},"count":{count}}}}}'


def presence_entry(member: Member) -> tuple[str, str]:
    """Encode the fragments of a member, cached because every new subscriber receives all members."""
    id = text_of(member.recipient)
    return id, f"{id}:{_encode(info(member)).decode()}"


def info(member: Member) -> Any:
    """Return a member's info as signed by the app, or the name for connections of other dialects."""
    if member.info is not None:
        return member.info
    return {} if member.name is None else {"name": member.name}


def member_added(channel: str, member: Member) -> bytes:
    fields = {"user_id": member.recipient, "user_info": info(member)}
    return event("pusher_internal:member_added", channel, text(fields))


def member_removed(channel: str, member: Member) -> bytes:
    return event("pusher_internal:member_removed", channel, text({"user_id": member.recipient}))


def subscription_error(channel: str, kind: str, message: str, status: int) -> bytes:
    return event("pusher:subscription_error", channel, text({"type": kind, "error": message, "status": status}))


def subscription_count(channel: str, count: int) -> bytes:
    return event("pusher_internal:subscription_count", channel, text({"subscription_count": count}))


def cache_miss(channel: str) -> bytes:
    return event("pusher:cache_miss", channel, EMPTY)


def signed_in(user_data: str) -> bytes:
    return event("pusher:signin_success", None, text({"user_data": user_data}))


def watchlist_event(online: list[str], offline: list[str]) -> bytes:
    """Encode the users of a watchlist that are newly online or offline."""
    lists = (("online", online), ("offline", offline))
    events = [{"name": name, "user_ids": ids} for name, ids in lists if ids]
    return event("pusher_internal:watchlist_events", None, text({"events": events}))


def inbox_change(channel: str, change: Payload) -> bytes:
    return event(change.name, channel, text(change.fields))


def laravel(channel: str, notification: Notification) -> bytes:
    """Encode a notification like Laravel's broadcasts: the app's data, id and type in one object."""
    fields = {name: value for name, value in (("title", notification.title), ("body", notification.body)) if value}
    if notification.action_url is not None:
        fields["action_url"] = notification.action_url
    return event(
        LARAVEL, channel, text({**fields, **notification.data, "id": notification.id, "type": notification.type})
    )


PONG = event("pusher:pong", None, EMPTY)
PING = event("pusher:ping", None, EMPTY)
