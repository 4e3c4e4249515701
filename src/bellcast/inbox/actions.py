"""What a recipient does to what it was told: seen, read, archived, deleted; one, many and all."""

from collections.abc import Sequence

from bellcast.errors import Invalid, NotFound
from bellcast.model import ids
from bellcast.model.inboxes import Inbox
from bellcast.model.limits import Limits
from bellcast.model.notifications import Notification
from bellcast.ports import Action, Context, Marked, Marking


async def mark(engines: Context, inbox: int, marking: Marking) -> Marked:
    """Do it to the inbox of that number in the store, and tell every device of its recipient."""
    marked = await engines.store.inboxes.mark(inbox, marking, engines.clock.now())
    await engines.broker.publish(*marked.events)
    return marked


async def change(engines: Context, inbox: Inbox, id: str, actions: Sequence[Action]) -> Notification:
    """Do the actions to one notification and give it back as it is then."""
    known = ids.is_id(id) and await engines.store.inboxes.get(inbox.number, id)
    if not known:
        raise NotFound("This inbox has no notification with this id.")
    await mark(engines, inbox.number, Marking(actions=tuple(actions), ids=(id,)))
    after = await engines.store.inboxes.get(inbox.number, id)
    if after is None:
        raise NotFound("This inbox has no notification with this id.")
    return after


async def delete(engines: Context, inbox: Inbox, id: str) -> None:
    """Delete one notification; NotFound if it is not there."""
    known = ids.is_id(id) and await engines.store.inboxes.get(inbox.number, id)
    marked = await mark(engines, inbox.number, Marking(actions=("delete",), ids=(id,))) if known else None
    if marked is None or not marked.changed:
        raise NotFound("This inbox has no notification with this id.")


def actions_of_patch(*, seen: bool | None, read: bool | None, archived: bool | None) -> tuple[Action, ...]:
    """The actions a PATCH asks for. Read implies seen, so read and not seen at once is refused."""
    if read and seen is False:
        raise Invalid.of("seen", "must not be false while read is true: what is read has been seen")
    actions: list[Action] = []
    if seen is not None:
        actions.append("seen" if seen else "unseen")
    if read is not None:
        actions.append("read" if read else "unread")
    if archived is not None:
        actions.append("archive" if archived else "unarchive")
    return tuple(actions)


def parse_selection(asked: Sequence[str] | None, *, everything: bool, limits: Limits) -> tuple[str, ...] | None:
    """The ids an action names, None for all; exactly one of the two may be asked for."""
    if everything and asked is not None:
        raise Invalid.of("all", "must not be given together with ids")
    if everything:
        return None
    if asked is None:
        raise Invalid.of("ids", 'must be given, or "all": true')
    if limits.ids and len(asked) > limits.ids:
        raise Invalid.of("ids", f"must have at most {limits.ids} ids, got {len(asked)}")
    return tuple(dict.fromkeys(id for id in asked if ids.is_id(id)))
