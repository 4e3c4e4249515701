"""Versions of objects: published in one transaction with their object and without their draft."""

import pytest

from bellcast.documents.store import ObjectForm, Versions
from bellcast.documents.types import Document, StoredVersion, draft_kind
from bellcast.kernel.errors import PreconditionFailed
from tests.clock import FakeClock
from tests.store import Store

A, B, C = b'{"a":1}', b'{"b":1}', b'{"c":1}'


def version(body: bytes, note: str | None = None) -> StoredVersion:
    return StoredVersion(0, body, 5, "olive", note)


async def test_publication_adds_a_version_makes_it_current_and_deletes_the_draft(store: Store) -> None:
    versions, drafts = Versions(store.engine), draft_kind("templates")
    await store.documents.put(drafts, "acme", "x", B, 1)
    first = await versions.publish("templates", "acme", "x", version(A), replaces=None)
    second = await versions.publish("templates", "acme", "x", version(B, "Why"), replaces=A, draft=B)
    assert (first and first.version, second and second.version) == (1, 2)
    stored = await store.documents.get("templates", "acme", "x")
    assert stored is not None
    assert (stored.body, stored.version) == (B, 2)
    assert await store.documents.get(drafts, "acme", "x") is None
    infos = await versions.infos("templates", "acme", "x", 10)
    assert [(one.version, one.body, one.by, one.note) for one in infos] == [
        (2, b"", "olive", "Why"), (1, b"", "olive", None),
    ]  # fmt: skip
    assert await versions.last("templates", "acme", "x") == second
    assert await versions.find("templates", "acme", "x", 1) == first
    assert await versions.last("workflows", "acme", "x") is None


async def test_publication_of_a_changed_object_or_draft_writes_nothing(store: Store) -> None:
    versions, drafts = Versions(store.engine), draft_kind("templates")
    await versions.publish("templates", "", "x", version(A), replaces=None)
    await store.documents.put(drafts, "", "x", B, 1)
    assert await versions.publish("templates", "", "x", version(C), replaces=B) is None
    assert await versions.publish("templates", "", "x", version(C), replaces=None) is None
    assert await versions.publish("templates", "", "x", version(C), replaces=A, draft=C) is None
    stored = await store.documents.get("templates", "", "x")
    assert stored is not None
    assert (stored.body, stored.version) == (A, 1)
    assert len(await versions.infos("templates", "", "x", 10)) == 1


async def test_write_of_a_changed_draft_is_refused(store: Store, clock: FakeClock) -> None:
    await store.documents.put(draft_kind("templates"), "", "x", B, 1)
    form, draft = ObjectForm(is_versioned=True), Document("x", A, 1, 1)
    with pytest.raises(PreconditionFailed):
        await form.write(store.engine, clock, ("templates", "", "x"), {"a": 1}, None, draft=draft)
    assert await store.documents.get("templates", "", "x") is None


async def test_earlier_version_is_restored_and_the_next_one_has_a_new_number(store: Store) -> None:
    versions = Versions(store.engine)
    for body, before in ((A, None), (B, A)):
        await versions.publish("templates", "", "x", version(body), replaces=before)
    first = await versions.find("templates", "", "x", 1)
    assert first is not None
    assert not await store.documents.change("templates", "", "x", C, first.body, 6, version=1)
    assert await store.documents.change("templates", "", "x", B, first.body, 6, version=1)
    stored = await store.documents.get("templates", "", "x")
    assert stored is not None
    assert (stored.body, stored.version) == (A, 1)
    third = await versions.publish("templates", "", "x", version(C), replaces=A)
    assert third is not None
    assert third.version == 3


async def test_object_without_versions_gets_its_body_as_the_first(store: Store) -> None:
    versions = Versions(store.engine)
    await store.documents.put("templates", "", "x", A, 3)
    await versions.publish("templates", "", "x", version(B), replaces=A)
    first = await versions.find("templates", "", "x", 1)
    assert first == StoredVersion(1, A, 3)
