"""Limits on client input, with their reasons. 0 means unlimited. Settings override them (`BELLCAST_LIMIT_…`)."""

from msgspec import Struct

# An item of a bulk request is decoded in one step. The largest draft that the other limits permit has half this size.
MAX_ITEM_BYTES = 1_048_576


class Limits(Struct, kw_only=True):
    """Operators can change some limits while the server runs. Sizes are in characters, `data` in bytes of compact JSON,
    whole requests and frames in bytes."""

    key: int = 200  # e-mail addresses and UUIDs fit; an index entry stays small
    topic: int = 164  # Pusher's channel names, prefix included
    title: int = 500
    body: int = 10_000  # as long as a letter; longer content belongs behind action_url
    type: int = 100
    group: int = 200
    url: int = 2_000  # safe for browsers and proxies
    tags: int = 20
    tag: int = 50
    data: int = 16_384
    event_name: int = 200
    event_data: int = 10_240  # Pusher's limit; live events are signals, not transfers
    to: int = 1_000  # one transaction; use a topic or a bulk send for more
    request: int = 1_048_576
    bulk: int = 16_777_216
    bulk_items: int = 10_000
    frame: int = 65_536
    frames_per_second: int = 200
    topics_per_connection: int = 100
    unsent: int = 1_048_576  # a client with a larger backlog is dead or stuck; it resumes from its position
    connections_per_recipient: int = 100
    connections_per_address: int = 0  # many clients share one address behind a proxy or an office's NAT
    connections: int = 0  # the process's open-file limit decides
    replay: int = 1_000  # with more changes, fetching the inbox is cheaper
    history: int = 16_777_216  # bytes of a tenant's stored live events; two minutes of 100 events per second of 1 KB
    ids: int = 1_000  # per action
    sends_per_second: int = 0  # per tenant; the tenant's own settings take precedence
    sends_per_day: int = 0
    requests_per_second: int = 0  # per address; usually limited by the reverse proxy
