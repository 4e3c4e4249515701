"""Ports: the interfaces to databases, brokers and other servers. One contract suite per port runs on every adapter."""

from bellcast.ports.broker import Broker
from bellcast.ports.clock import Clock
from bellcast.ports.context import Context
from bellcast.ports.devices import UNKNOWN, DevicePosition, Devices
from bellcast.ports.documents import Document, Documents
from bellcast.ports.history import NO_HISTORY, HistoryPage, KeptEvent, PastEvents, TopicHistory
from bellcast.ports.http import Http, Response
from bellcast.ports.inboxes import (
    Action,
    ActionTaken,
    Change,
    Changes,
    Inboxes,
    InboxPage,
    InboxStatus,
    Marked,
    Marking,
    OpenInbox,
    Query,
    ResumeFrom,
    SessionRevoked,
    UnreadCounts,
)
from bellcast.ports.jobs import Job, JobGroup, Jobs, JobShare
from bellcast.ports.joined_topics import JoinedBy, JoinedTopics
from bellcast.ports.keys import Keys
from bellcast.ports.last_events import LastEvent, LastEvents
from bellcast.ports.maintenance import Maintenance, RowCounts
from bellcast.ports.messages import MessageQuery, Messages, MessageUpdate, NewDecision, NewMessage, StoredMessage
from bellcast.ports.push_endpoints import PushEndpoint, PushEndpoints
from bellcast.ports.quotas import Quotas, Rates, Unlimited
from bellcast.ports.recipients import RecipientOfLink, Recipients, SubscriptionGrant
from bellcast.ports.runs import Runs
from bellcast.ports.sends import (
    AnnounceRequest,
    ImportRequest,
    Materialized,
    SendRequest,
    SendResult,
    Sends,
    SentItem,
    SentQuery,
)
from bellcast.ports.store import Store
from bellcast.ports.suppressions import Suppression, Suppressions

__all__ = [
    "NO_HISTORY",
    "UNKNOWN",
    "Action",
    "ActionTaken",
    "AnnounceRequest",
    "Broker",
    "Change",
    "Changes",
    "Clock",
    "Context",
    "DevicePosition",
    "Devices",
    "Document",
    "Documents",
    "HistoryPage",
    "Http",
    "ImportRequest",
    "InboxPage",
    "InboxStatus",
    "Inboxes",
    "Job",
    "JobGroup",
    "JobShare",
    "Jobs",
    "JoinedBy",
    "JoinedTopics",
    "KeptEvent",
    "Keys",
    "LastEvent",
    "LastEvents",
    "Maintenance",
    "Marked",
    "Marking",
    "Materialized",
    "MessageQuery",
    "MessageUpdate",
    "Messages",
    "NewDecision",
    "NewMessage",
    "OpenInbox",
    "PastEvents",
    "PushEndpoint",
    "PushEndpoints",
    "Query",
    "Quotas",
    "Rates",
    "RecipientOfLink",
    "Recipients",
    "Response",
    "ResumeFrom",
    "RowCounts",
    "Runs",
    "SendRequest",
    "SendResult",
    "Sends",
    "SentItem",
    "SentQuery",
    "SessionRevoked",
    "Store",
    "StoredMessage",
    "SubscriptionGrant",
    "Suppression",
    "Suppressions",
    "TopicHistory",
    "Unlimited",
    "UnreadCounts",
]
