import msgspec
import pytest

from bellcast.audit import store
from bellcast.audit.store import AuditEntry, FieldChange
from tests.unit.auth.fakes import PROJECT, RIVAL


def chain(length: int = 4) -> list[AuditEntry]:
    sign, entries, previous = store.entry_signer(PROJECT), [], b""
    for number in range(1, length + 1):
        entry = AuditEntry(
            id=str(number),
            at=number,
            actor="olive",
            action="PATCH /v1/operators/{id}",
            target="/v1/operators/1",
            changes=(FieldChange("role", "viewer", "owner"),),
            outcome="ok",
            address="192.0.2.1",
            request_id="r",
            number=number,
            previous=previous,
        )
        previous = sign(entry)
        entries.append(msgspec.structs.replace(entry, mac=previous))
    return entries


def broken(entries: list[AuditEntry]) -> int | None:
    found = store.first_broken_entry(entries, PROJECT)
    return None if found is None else found.number


def test_written_chain_is_genuine_and_may_begin_after_swept_entries() -> None:
    assert broken(chain()) is None
    assert broken(chain()[2:]) is None
    assert broken([]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "eve"},
        {"at": 9},
        {"action": "x"},
        {"target": "x"},
        {"tenant": "acme"},
        {"changes": ()},
        {"outcome": "forbidden"},
        {"address": None},
        {"request_id": "x"},
        {"previous": b"x"},
        {"mac": b"x"},
        {"number": 7},
        {"id": "x"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_changed_field_is_detected(change: dict[str, object]) -> None:
    entries = chain()
    entries[1] = msgspec.structs.replace(entries[1], **change)
    assert broken(entries) == entries[1].number


def test_removed_swapped_and_repeated_entries_are_detected() -> None:
    first, second, third, fourth = chain()
    assert broken([first, third, fourth]) == 3
    assert broken([first, third, second, fourth]) == 3
    assert broken([first, second, second, third]) == 2


def test_entry_signed_with_another_secret_is_detected() -> None:
    first, second, *_ = chain()
    forged = msgspec.structs.replace(second, actor="eve")
    forged = msgspec.structs.replace(forged, mac=store.entry_signer(RIVAL)(forged))
    assert broken([first, forged]) == 2
