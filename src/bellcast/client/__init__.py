"""The Python client of a Bellcast server, blocking and async.

It uses only the public HTTP interface. `api` has the public classes; `notifications`, `recipients`, `topics`, `inbox`, `messages`, `objects` and
`workflows` build each `request` of checked `arguments` (pure), which also decides on retries; `http_senders` does the I/O on the connections
of the process or event loop; `credentials` finds the server and its secret.
"""

from bellcast.channels.types import ChannelExplanation, Explanation, Fact, Message, Retried, SuggestedAction
from bellcast.client.api import AsyncBellcast, Bellcast, InboxApi, NotificationManager
from bellcast.client.credentials import Credentials
from bellcast.client.errors import (
    BellcastError,
    BlockingInEventLoop,
    BulkInterrupted,
    Forbidden,
    InvalidArgument,
    NotConfigured,
    NotFound,
    RequestRefused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownArgument,
    Unreadable,
    WrongProject,
)
from bellcast.client.request import Retries
from bellcast.client.responses import (
    Actor,
    BulkResult,
    Changed,
    Counts,
    FieldError,
    ImportResults,
    InboxPage,
    MessagePage,
    Notification,
    Problem,
    Recipient,
    RecipientPage,
    Sent,
    SessionToken,
)

__all__ = [
    "Actor",
    "AsyncBellcast",
    "Bellcast",
    "BellcastError",
    "BlockingInEventLoop",
    "BulkInterrupted",
    "BulkResult",
    "Changed",
    "ChannelExplanation",
    "Counts",
    "Credentials",
    "Explanation",
    "Fact",
    "FieldError",
    "Forbidden",
    "ImportResults",
    "InboxApi",
    "InboxPage",
    "InvalidArgument",
    "Message",
    "MessagePage",
    "NotConfigured",
    "NotFound",
    "Notification",
    "NotificationManager",
    "Problem",
    "Recipient",
    "RecipientPage",
    "RequestRefused",
    "Retried",
    "Retries",
    "Sent",
    "SessionToken",
    "SuggestedAction",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnknownArgument",
    "Unreadable",
    "WrongProject",
]
