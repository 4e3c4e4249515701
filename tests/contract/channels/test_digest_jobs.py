"""Jobs of e-mail digests on every store: one for each recipient and time."""

import msgspec
import pytest

from bellcast.channels.store.messages import DIGEST_JOB_KIND
from bellcast.channels.types import NewMessage
from bellcast.kernel.jobs import Job
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

DUE = FakeClock().now() + 1_000
MAX_BYTES = 1_000_000


def held(number: int, tenant: str, recipient: str) -> NewMessage:
    return NewMessage(
        id=f"00000000-0000-7000-8000-{number:012}",
        tenant=tenant,
        recipient=recipient,
        notification=None,
        channel="email",
        type="news",
        priority="normal",
        address="alice@example.com",
        state="held",
        reason="digest",
        due_at=DUE,
        created_at=DUE - 1_000,
        content=b'{"subject":"Hi"}',
    )


async def owners(app: App) -> list[tuple[str, str]]:
    """The recipients of the digests that are due."""
    jobs = await app.lease(DUE, DUE + 1_000, 10)
    assert {job.kind for job in jobs} <= {DIGEST_JOB_KIND}
    return sorted(msgspec.json.decode(job.payload, type=tuple[str, str]) for job in jobs)


@pytest.mark.thorough
async def test_digests_of_two_recipients_have_two_jobs(app: App) -> None:
    one, other = ("org", "7:bob"), ("org:7", "bob")
    await app.store.messages.add([held(1, *one), held(2, *other), held(3, *one)])
    assert await owners(app) == [one, other]


async def test_job_of_an_earlier_build_sends_no_second_digest(store: Store, app: App) -> None:
    """It has another id: both jobs of the recipient look for due members, and one of them finds these."""
    owner = ("", "alice")
    earlier = Job(
        id=f"{DIGEST_JOB_KIND}::alice:{DUE}",
        kind=DIGEST_JOB_KIND,
        payload=msgspec.json.encode(owner),
        run_at=DUE,
        created_at=DUE - 1_000,
    )
    await store.jobs.add([earlier])
    await store.messages.add([held(1, *owner), held(2, *owner)])
    assert await owners(app) == [owner, owner]
    members = await store.messages.digest_members(*owner, DUE, 10, MAX_BYTES)
    digest = msgspec.structs.replace(held(3, *owner), state="queued", reason=None, digest=held(3, *owner).id)
    ids = [message.id for message in members]
    assert ids == [held(1, *owner).id, held(2, *owner).id]
    assert await store.messages.add_digest(digest, ids, [], DUE)
    # The other job, whether or not it has already read the members.
    assert not await store.messages.add_digest(msgspec.structs.replace(digest, id="d2", digest="d2"), ids, [], DUE)
    assert await store.messages.digest_members(*owner, DUE, 10, MAX_BYTES) == []
