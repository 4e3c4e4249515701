"""The inbox in the pictures of the bell: a photo studio's notifications of six weeks, up to a Tuesday afternoon."""

from collections.abc import Sequence
from typing import Any

import httpx

from bellcast import Bellcast

NOW = "2026-03-10T14:20:00+01:00"
ZONE = "Europe/Stockholm"
START = "2026-01-28T09:00:00+01:00"
# A view of hills, for a row's thumbnail.
IMAGE = "/hills.svg"
HILLS = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 60"><rect width="60" height="60" fill="#9cc5c9"/>
<circle cx="42" cy="17" r="8" fill="#f6d58e"/><path d="M0 60 22 24 38 46 46 36 60 60z" fill="#2f6267"/></svg>"""

REQUEST = {
    "title": "Nora Weiss requested Saturday, 14 March",
    "body": "A family portrait at Södermalm, two hours. May the dog come along?",
    "type": "booking",
    "actor": {"name": "Nora Weiss"},
    "actions": [
        {"key": "accept", "label": "Accept", "call": "answer", "style": "primary"},
        {"key": "time", "label": "Suggest a time", "url": "/bookings/7/time"},
        {"key": "decline", "label": "Decline", "call": "answer", "style": "danger"},
    ],
}
EXPORT = {
    "title": "Export of “Nordic Weddings”",
    "body": "37 of 88 photographs",
    "icon": "📦",
    "type": "export",
    "data": {"progress": 0.42},
}
URGENT = {
    "title": "The payment of €1,240 failed twice",
    "body": "The card ending in 4242 was declined. Deliveries stop tonight.",
    "priority": "urgent",
    "type": "payment",
    "action_url": "/billing",
    "action_text": "Update the card",
}
HIGH = {
    "title": "The contract for “Nordic Weddings” needs your signature",
    "body": "Two of three have signed.",
    "priority": "high",
    "icon": "✍️",
    "type": "contract",
    "action_url": "/contracts/3",
}
COMMENT = {
    "body": "**Number 12** is *lovely*, see [the gallery](/galleries/118) and `IMG_0012.jpg`",
    "body_format": "markdown",
    "group": "gallery:118",
    "type": "comment",
    "data": {"image": IMAGE},
    "action_url": "/galleries/118",
}
# Minutes before the end of the story, oldest first.
STORY: list[tuple[int, dict[str, Any]]] = [
    (57_000, {"title": "Welcome to the studio", "body": "Here is how to connect your calendar.", "icon": "👋"}),
    (4_400, {"title": "Storage is 90 % full", "body": "Older galleries can be archived.", "icon": "🗂️"}),
    (
        1_620,
        {"title": "Priya Nair delivered Henrik & Sofia", "body": "212 photographs, all edited.", "actor": "Priya Nair"},
    ),
    (375, {"title": "Your weekly summary is ready", "icon": "📈", "priority": "low"}),
    *(
        (200 - at, {**COMMENT, "title": f"{name} commented on “Nordic Weddings”", "actor": name})
        for at, name in enumerate(["Cleo Diaz", "Bo Chen", "Ann Lindqvist", "Nora Weiss", "Ben Okafor"])
    ),
    (38, HIGH),
    (21, URGENT),
    (4, REQUEST),
    (0, EXPORT),
]
READ = 4  # of the story, from its beginning


def send(bell: Bellcast, recipients: Sequence[str], content: dict[str, Any], count: int = 1) -> dict[str, list[str]]:
    """Send the same notification to each recipient; return the ids by recipient."""
    items: Any = [{"to": recipient, **content} for recipient in recipients for _ in range(count)]
    sent: dict[str, list[str]] = {}
    for item, result in zip(items, bell.bulk(items), strict=True):
        sent.setdefault(str(item["to"]), []).append(str(result.id))
    return sent


def fill(bell: Bellcast, url: str, secret: str, recipients: Sequence[str]) -> None:
    """Send the notifications to each recipient, on the server's test clock."""
    read: dict[str, list[str]] = {}
    minutes = 41 * 24 * 60 + 320  # from START to NOW
    for at, (ago, content) in enumerate(STORY):
        advance(url, secret, minutes - ago)
        minutes = ago
        for recipient, ids in send(bell, recipients, content).items():
            if at < READ:
                read.setdefault(recipient, []).extend(ids)
    for recipient, ids in read.items():
        bell.inbox(bell.token(recipient)).read(*ids)


def define_types(url: str, secret: str) -> None:
    """Define the types that preferences list. E-mails about payments cannot be turned off."""
    headers = {"authorization": f"Bearer {secret}"}
    for key in ("booking", "comment", "contract", "payment"):
        rules = {"required": ["email"]} if key == "payment" else {}
        httpx.put(f"{url}/v1/types/{key}", headers=headers, json={"name": key.capitalize(), **rules}).raise_for_status()


def advance(url: str, secret: str, minutes: int) -> None:
    """Set the server's test clock."""
    if not minutes:
        return
    headers = {"authorization": f"Bearer {secret}"}
    httpx.post(f"{url}/v1/test-clock", headers=headers, json={"advance": f"{minutes}m"}).raise_for_status()
