"""The Python client: ask a Bellcast server, blocking or awaiting.

It stands beside the house and uses only its public HTTP surface. `surface` lists what can be asked; `notifications`,
`recipients`, `topics` and `inbox` build the requests (pure); `exchange` decides on retries (pure); `senders` sends.
"""

from bellcast.client.answers import (
    Actor,
    BulkResult,
    Changed,
    Counts,
    FieldError,
    InboxPage,
    Notification,
    Problem,
    Recipient,
    RecipientPage,
    Sent,
    SessionToken,
)
from bellcast.client.errors import (
    BellcastError,
    BulkInterrupted,
    Forbidden,
    NotFound,
    RequestRefused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from bellcast.client.exchange import Retries
from bellcast.client.notifier import NotificationManager
from bellcast.client.surface import AsyncBellcast, Bellcast, Inbox

__all__ = [
    "Actor",
    "AsyncBellcast",
    "Bellcast",
    "BellcastError",
    "BulkInterrupted",
    "BulkResult",
    "Changed",
    "Counts",
    "FieldError",
    "Forbidden",
    "Inbox",
    "InboxPage",
    "NotFound",
    "Notification",
    "NotificationManager",
    "Problem",
    "Recipient",
    "RecipientPage",
    "RequestRefused",
    "Retries",
    "Sent",
    "SessionToken",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Unreadable",
]
