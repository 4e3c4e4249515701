"""Webhooks: what happens on channels, told to the app's URL in signed batches, by durable jobs."""

import hashlib
from typing import Any

import msgspec
import structlog

from bellcast import ports
from bellcast.auth import pusher as signatures
from bellcast.errors import Unavailable
from bellcast.jobs import Jobs
from bellcast.live.hub import Hub
from bellcast.live.protocols.pusher import frames
from bellcast.live.rules import Spawn
from bellcast.model.events import LiveEvent, topic_stream
from bellcast.model.people import DEFAULT_TENANT, Project
from bellcast.ports import Job

log = structlog.get_logger(__name__)

SEND, ENDED = "pusher.webhook", "pusher.ended"
# What happens within this time is one request.
GATHER_SECONDS = 0.05
BATCH = 100
# A client that reloads its page is back by then, and nobody need know that it was gone.
PATIENCE_MS = 2_500
TIMEOUT = 5.0

Happening = dict[str, Any]


class Webhooks:
    """Gathers what happens, keeps it, and sends it until it is taken. Without a URL it does nothing."""

    def __init__(
        self,
        url: str | None,
        project: Project,
        jobs: Jobs,
        hub: Hub,
        http: ports.Http,
        clock: ports.Clock,
        spawn: Spawn,
    ) -> None:
        self._url = url
        self._project = project
        self._jobs = jobs
        self._hub = hub
        self._http = http
        self._clock = clock
        self._spawn = spawn
        self._gathered: list[Happening] = []
        self._ending: set[tuple[str, str]] = set()  # what ended here and is not told yet, by channel and member
        self._missed: set[str] = set()
        jobs.on(SEND, self._send)
        jobs.on(ENDED, self._end)

    # --- what happens

    def occupied(self, channel: str) -> None:
        """A channel has its first follower."""
        self._began("channel_occupied", channel, "")

    def vacated(self, channel: str) -> None:
        """A channel has no follower here any more."""
        self._missed.discard(channel)
        self._ended(channel, "")

    def joined(self, channel: str, member: str) -> None:
        """Somebody's first connection came to a presence channel."""
        self._began("member_added", channel, member)

    def left(self, channel: str, member: str) -> None:
        """Somebody's last connection here went from a presence channel."""
        self._ended(channel, member)

    def client_event(self, event: LiveEvent) -> None:
        """A client told the others something."""
        told = {"name": "client_event", "channel": event.topic, "event": event.name, "data": frames.text(event.data)}
        self._happened(
            {**told, "socket_id": event.sender, **({} if event.member is None else {"user_id": event.member})}
        )

    def missed(self, channel: str) -> None:
        """Somebody found nothing kept of a cache channel; told once for many."""
        if channel not in self._missed:
            self._missed.add(channel)
            self._happened({"name": "cache_miss", "channel": channel})

    def filled(self, channel: str) -> None:
        """There is something kept again."""
        self._missed.discard(channel)

    def counted(self, channel: str, count: int) -> None:
        """The followers of a channel were told how many they are."""
        self._happened({"name": "subscription_count", "channel": channel, "subscription_count": count})

    def _began(self, name: str, channel: str, member: str) -> None:
        if (channel, member) in self._ending:
            self._ending.discard((channel, member))  # it is back before anybody was told that it had gone
        else:
            self._happened(_happening(name, channel, member))

    def _ended(self, channel: str, member: str) -> None:
        if self._url is not None:
            self._ending.add((channel, member))
            # Of one who leaves several nodes at once, one tells.
            what = msgspec.json.encode((channel, member))
            self._spawn(self._jobs.add(ENDED, what, after=PATIENCE_MS, once=_name(what)))

    # --- how it is told

    def _happened(self, happening: Happening) -> None:
        if self._url is None:
            return
        if not self._gathered:
            self._spawn(self._gather())
        self._gathered.append(happening)

    async def _gather(self) -> None:
        await self._clock.sleep(GATHER_SECONDS)
        gathered, self._gathered = self._gathered, []
        for start in range(0, len(gathered), BATCH):
            await self._jobs.add(SEND, msgspec.json.encode(gathered[start : start + BATCH]))

    async def _end(self, job: Job) -> None:
        """What ended here a while ago is told, unless it is back, or was on another node all the time."""
        channel, member = msgspec.json.decode(job.payload, type=tuple[str, str])
        self._ending.discard((channel, member))
        if not self._is_there(channel, member):
            self._happened(_happening("member_removed" if member else "channel_vacated", channel, member))

    def _is_there(self, channel: str, member: str) -> bool:
        if member:
            return self._hub.presence.is_there(DEFAULT_TENANT, channel, member)
        return self._hub.total(topic_stream(DEFAULT_TENANT, channel)) > 0

    async def _send(self, job: Job) -> None:
        events = msgspec.json.decode(job.payload)
        body = msgspec.json.encode({"time_ms": job.created_at, "events": events})
        headers = {
            "content-type": "application/json",
            "x-pusher-key": self._project.key,
            "x-pusher-signature": signatures.digest(self._project, body),
        }
        answer = await self._http.request("POST", self._url or "", headers=headers, body=body, timeout=TIMEOUT)
        if not 200 <= answer.status < 300:
            raise Unavailable(f"BELLCAST_PUSHER_WEBHOOK_URL answered {answer.status}.")


def _name(ended: bytes) -> str:
    return f"{ENDED} {hashlib.blake2b(ended, digest_size=16).hexdigest()}"


def _happening(name: str, channel: str, member: str) -> Happening:
    told = {"name": name, "channel": channel}
    return {**told, "user_id": member} if member else told
