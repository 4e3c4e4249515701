"""What the inside needs of the outside. Adapters in storage, brokers and outbound keep these contracts;
one contract suite per port runs on every adapter."""

from bellcast.ports.broker import Broker
from bellcast.ports.clock import Clock
from bellcast.ports.devices import UNKNOWN, Devices, Reached
from bellcast.ports.engines import Engines
from bellcast.ports.http import Http, Response
from bellcast.ports.inboxes import (
    Action,
    Change,
    Changes,
    Counted,
    Inboxes,
    Listed,
    Marked,
    Marking,
    Opened,
    Query,
    SessionRevoked,
    Since,
    Standing,
)
from bellcast.ports.jobs import Job, Jobs
from bellcast.ports.joined_topics import JoinedBy, JoinedTopics
from bellcast.ports.keys import Keys
from bellcast.ports.quotas import Boundless, Quotas, Rates
from bellcast.ports.recipients import Recipients, Right
from bellcast.ports.sends import Announcing, Found, Sending, Sends, Sent
from bellcast.ports.store import Store
from bellcast.ports.topics import Kept, Topics
from bellcast.ports.upkeep import Upkeep

__all__ = [
    "UNKNOWN",
    "Action",
    "Announcing",
    "Boundless",
    "Broker",
    "Change",
    "Changes",
    "Clock",
    "Counted",
    "Devices",
    "Engines",
    "Found",
    "Http",
    "Inboxes",
    "Job",
    "Jobs",
    "JoinedBy",
    "JoinedTopics",
    "Kept",
    "Keys",
    "Listed",
    "Marked",
    "Marking",
    "Opened",
    "Query",
    "Quotas",
    "Rates",
    "Reached",
    "Recipients",
    "Response",
    "Right",
    "Sending",
    "Sends",
    "Sent",
    "SessionRevoked",
    "Since",
    "Standing",
    "Store",
    "Topics",
    "Upkeep",
]
