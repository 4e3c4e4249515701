"""Fuzzing of the tokens in unsubscribe links."""

from hypothesis import strategies as st

from bellcast.auth import link_tokens
from bellcast.channels import links
from bellcast.channels.links import Unsubscription
from bellcast.kernel import base64url
from bellcast.kernel.identities import Project
from tests.fuzz.runner import fuzz

PROJECT = Project("7", "public-key", "a secret of enough length for an HMAC")
SIGNED = Unsubscription("", "alice", 1_800_000_000_000, "booking", ("news",))
TOKEN = link_tokens.sign(PROJECT, links.UNSUBSCRIBE_PURPOSE, SIGNED)
PAYLOADS = st.binary(max_size=40) | st.sampled_from(
    [b"[]", b"null", b'["","a",1,""]', b"[" * 2_000, b'["","a",' + b"9" * 5_000 + b',""]']
)
SEEDS = ["", "=", "a", "\ud800", "\u00e9", TOKEN + "=", TOKEN.swapcase(), TOKEN * 2, "A" * 100_000, TOKEN[:-1] + "\n"]


def with_signature(payload: bytes) -> str:
    return base64url.encode(link_tokens._signature(PROJECT, links.UNSUBSCRIBE_PURPOSE, payload) + payload)


def changed(position: int, character: str) -> str:
    return TOKEN[:position] + character + TOKEN[position + 1 :]


def read(token: str) -> Unsubscription | None:
    return link_tokens.read(PROJECT, links.UNSUBSCRIBE_PURPOSE, token, Unsubscription)


def check(token: str) -> None:
    """A token is refused or yields the signed content."""
    found = read(token)
    assert found is None or read(link_tokens.sign(PROJECT, links.UNSUBSCRIBE_PURPOSE, found)) == found


def test_signed_payload_is_refused_or_read() -> None:
    texts = (
        st.text(max_size=60)
        | st.builds(changed, st.integers(0, len(TOKEN)), st.characters())
        | st.builds(with_signature, PAYLOADS)
    )
    fuzz("unsubscribe tokens", texts, check, SEEDS)


def test_changed_token_has_no_other_meaning() -> None:
    for position in range(len(TOKEN)):
        for character in "Aaz09-_=. ":
            assert read(changed(position, character)) in (None, SIGNED)
