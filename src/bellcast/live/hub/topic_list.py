"""Topics that have subscribers in the store or followers on any node."""

from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListPage, ListQuery, ListTotal
from bellcast.live.hub.survey import ConnectionSurvey, TopicCount
from bellcast.recipients.store.subscriptions import StoredSubscriptions
from bellcast.topics.types import ListedTopic

# A position after every tenant's topics: its last character is the highest possible one.
AFTER_ALL = ("\U0010ffff", "")
NOT_FOLLOWED = TopicCount(0, 0)


async def page(db: Engine, connections: ConnectionSurvey, wanted: ListQuery) -> ListPage[ListedTopic]:
    """Return a page of topics, ordered by tenant and name. Only the first has a total, exact if there is no other page."""
    stored = await StoredSubscriptions(db).topics(wanted)
    subscribers = {(owner, name): count for owner, name, count in stored.items}
    followed: dict[tuple[str, str], TopicCount] = {}
    for tenant in [None] if wanted.tenants is None else wanted.tenants:
        followed |= await connections.followed_topics(tenant)
    after, last = wanted.after or (), stored.scanned_until or AFTER_ALL
    live = {place for place in followed if after < place <= last and place[1].startswith(wanted.prefix)}
    places = sorted(live | subscribers.keys())
    has_next = stored.next is not None or len(places) > wanted.limit
    places = places[: wanted.limit]
    shown = [
        ListedTopic(
            topic=name,
            tenant=owner or None,
            subscribers=subscribers.get((owner, name), 0),
            followers=followed.get((owner, name), NOT_FOLLOWED).connections,
            present=followed.get((owner, name), NOT_FOLLOWED).members,
        )
        for owner, name in places
    ]
    scanned_until = None if has_next else stored.scanned_until
    total = ListTotal(len(shown) + has_next, exact=not has_next and scanned_until is None)
    return ListPage(shown, places[-1] if has_next else None, scanned_until, None if wanted.after else total)
