"""Socket.IO packets as tables: parsed, refused and encoded."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.live.socketio import protocol
from bellcast.live.socketio.protocol import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    InvalidPacket,
    Packet,
    PacketReader,
)

READ: list[tuple[str, Packet]] = [
    ("0", Packet(CONNECT)),
    ('0{"token":"x"}', Packet(CONNECT, "/", {"token": "x"})),
    ("0{}", Packet(CONNECT, "/", {})),
    ('0"token"', Packet(CONNECT, "/", "token")),
    ("0/admin", Packet(CONNECT, "/admin")),
    ("0/admin,", Packet(CONNECT, "/admin")),
    ('0/admin,{"a":1}', Packet(CONNECT, "/admin", {"a": 1})),
    ("1", Packet(DISCONNECT)),
    ("1/admin,", Packet(DISCONNECT, "/admin")),
    ('2["hello"]', Packet(EVENT, "/", ["hello"])),
    ('2[7,"x"]', Packet(EVENT, "/", [7, "x"])),
    ('212["a",{"b":[null,true,1.5]}]', Packet(EVENT, "/", ["a", {"b": [None, True, 1.5]}], 12)),
    ('2/a/b,0["x"]', Packet(EVENT, "/a/b", ["x"], 0)),
    ("30[]", Packet(ACK, "/", [], 0)),
    ('3/x,456[1,"2"]', Packet(ACK, "/x", [1, "2"], 456)),
    ("3[]", Packet(ACK, "/", [])),
    ('2["\\ud83d\\ude00"]', Packet(EVENT, "/", ["😀"])),
    ('2["half \\ud83d"]', Packet(EVENT, "/", ["half \ufffd"])),
    ('2["a",{"_placeholder":true,"num":0}]', Packet(EVENT, "/", ["a", {"_placeholder": True, "num": 0}])),
]

BROKEN = [
    "", "7", "a", "9[]", "é", "²[]", "-1",
    "2", "2{}", "2[]", '2"x"', "2[null]", "2[true]", "2[[]]", '2["connect"]', '2["disconnect"]', '2["newListener"]',
    '2["a"', '2["a"]x', "2[NaN]", '2["a",NaN]', '2["a",Infinity]', '2["\\ud800",NaN]', '2["\\ud800"', '2["\\ud800",1e999]',
    '2abc["a"]', '2-1["a"]', '21.5["a"]', '2' + "1" * 17 + '["a"]', '2["a",' + "[" * 5000 + "]" * 5000 + "]",
    "0null", "0/a,null", "1null", "2null", "51-null", "0[]", "0/a,[]", "1{}", '1["x"]', "3", "30", "30{}", '30"x"', "4{}", '4{"message":"x"}',
    '5["a"]', '5-["a"]', '50-["a"]', '511-["a"]', '5-1-["a"]', '51.5-["a"]', '21-["a"]', "45", "6[]", "60-0[]",
    "0/" + "n" * 300, '0{"token":"' + "x" * 65_536 + '"}',
]  # fmt: skip


@pytest.mark.parametrize(("text", "packet"), READ, ids=[text for text, _ in READ])
def test_packet_is_read(text: str, packet: Packet) -> None:
    assert PacketReader(1000).read(text) == packet


@pytest.mark.parametrize("text", BROKEN, ids=[text[:30] for text in BROKEN])
def test_malformed_packet_is_invalid(text: str) -> None:
    with pytest.raises(InvalidPacket):
        PacketReader(1000).read(text)


def test_attachments_fill_their_placeholders_in_any_order_and_depth() -> None:
    reader = PacketReader(1000)
    head = '52-/x,7["up",{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0}]'
    assert reader.read(head) is None
    assert reader.read(b"zero") is None
    assert reader.read(b"one") == Packet(EVENT, "/x", ["up", {"a": [b"one"]}, b"zero"], 7, attachments=2)
    assert reader.read('61-3[{"_placeholder":true,"num":0}]') is None
    assert reader.read(b"") == Packet(ACK, "/", [b""], 3, attachments=1)


@pytest.mark.parametrize("number", ["-1", "1", "0.5", '"0"', "null", "true"])
def test_placeholder_without_an_attachment_is_invalid(number: str) -> None:
    reader = PacketReader(1000)
    reader.read(f'51-["a",{{"_placeholder":true,"num":{number}}}]')
    with pytest.raises(InvalidPacket):
        reader.read(b"x")


def test_two_placeholders_for_one_attachment_are_invalid() -> None:
    reader = PacketReader(1000)
    reader.read('51-["a",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]]')
    with pytest.raises(InvalidPacket, match="another placeholder"):
        reader.read(b"x")


def test_attachment_without_a_placeholder_is_invalid() -> None:
    reader = PacketReader(1000)
    reader.read('52-["a",{"_placeholder":true,"num":1}]')
    reader.read(b"zero")
    with pytest.raises(InvalidPacket, match="no placeholder"):
        reader.read(b"one")


def test_attachments_are_accepted_only_after_their_packet() -> None:
    with pytest.raises(InvalidPacket):
        PacketReader(1000).read(b"unannounced")
    reader = PacketReader(1000)
    reader.read('52-["a"]')
    with pytest.raises(InvalidPacket):
        reader.read('2["text instead"]')


def test_attachments_are_limited_in_total_size() -> None:
    reader = PacketReader(10)
    reader.read('52-["a"]')
    assert reader.read(b"123456") is None
    with pytest.raises(InvalidPacket):
        reader.read(b"12345")


def test_event_name_cannot_be_binary() -> None:
    reader = PacketReader(100)
    reader.read('51-[{"_placeholder":true,"num":0}]')
    with pytest.raises(InvalidPacket):
        reader.read(b"name")


WRITTEN: list[tuple[Packet, str, list[bytes]]] = [
    (Packet(CONNECT, "/", {"sid": "x"}), '40{"sid":"x"}', []),
    (Packet(CONNECT_ERROR, "/a", {"message": "no"}), '44/a,{"message":"no"}', []),
    (Packet(DISCONNECT), "41", []),
    (Packet(DISCONNECT, "/a"), "41/a,", []),
    (Packet(EVENT, "/", ["a", 1, "é"]), '42["a",1,"é"]', []),
    (Packet(ACK, "/a", [], 5), "43/a,5[]", []),
    (
        Packet(EVENT, "/", ["a", b"0", {"b": (bytearray(b"1"), [memoryview(b"2")])}]),
        '453-["a",{"_placeholder":true,"num":0},{"b":[{"_placeholder":true,"num":1},[{"_placeholder":true,"num":2}]]}]',
        [b"0", b"1", b"2"],
    ),
    (Packet(ACK, "/a", [b""], 9), '461-/a,9[{"_placeholder":true,"num":0}]', [b""]),
]


@pytest.mark.parametrize(("packet", "text", "attachments"), WRITTEN, ids=[text for _, text, _ in WRITTEN])
def test_packet_is_encoded(packet: Packet, text: str, attachments: list[bytes]) -> None:
    assert protocol.encode(packet) == (text.encode(), attachments)


def test_more_than_ten_attachments_are_never_sent() -> None:
    assert len(protocol.encode(Packet(EVENT, "/", ["a", [b"x"] * 10]))[1]) == 10
    with pytest.raises(ValueError, match="10"):
        protocol.encode(Packet(EVENT, "/", ["a", [b"x"] * 11]))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(lambda t: t != "_placeholder"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(VALUES, max_size=4), st.sampled_from(["/", "/a", "/deep/er"]), st.none() | st.integers(0, 10**15))
def test_encoded_packet_is_read_unchanged(args: list[Any], namespace: str, id: int | None) -> None:
    packet = Packet(EVENT, namespace, ["name", *args], id)
    try:
        head, attachments = protocol.encode(packet)
    except ValueError:
        return  # more than ten binary values
    reader = PacketReader(0)
    found = reader.read(head.decode()[1:])
    for attachment in attachments:
        found = reader.read(attachment)
    assert found == packet._replace(attachments=len(attachments))


@given(st.text(max_size=60) | st.binary(max_size=20))
def test_arbitrary_input_is_read_or_invalid(message: str | bytes) -> None:
    with contextlib.suppress(InvalidPacket):
        PacketReader(100).read(message)


def test_truncated_packet_is_read_or_invalid() -> None:
    whole = "2/a,12" + json.dumps(["name", {"key": ["\ud800é", 1.5e3, None]}])
    for end in range(len(whole)):
        try:
            PacketReader(100).read(whole[:end])
        except InvalidPacket:
            continue
