"""Links that change preferences in texts of responses."""

import base64
import random

import pytest

from bellcast.auth import link_tokens
from bellcast.channels import links
from bellcast.channels.types import ChannelConfig
from bellcast.kernel.identities import Project

PROJECT = Project("42", "public-key", "the secret of the project, forty characters")
URLS = links.links(ChannelConfig(public_url="https://bell.example/bell/"), PROJECT, "", "a", ["x"], 1_700_000_000_000)


@pytest.mark.parametrize("name", ["unsubscribe_url", "preferences_url"])
@pytest.mark.parametrize("slash", ["/", "%2F", "%2f", "%252F", "&#47;", "&#x2F;", "\\/", "_", "="])
def test_token_is_hidden_in_a_text_of_the_same_length(name: str, slash: str) -> None:
    """The tokens of the shortest tenant, recipient and type, in links that templates write in any form."""
    head, token = URLS[name].rsplit("/", 1)
    text = f"Here: {head.replace('/', slash)}{slash}{token}>".encode()
    shown = link_tokens.hide(text)
    assert len(shown) == len(text)
    assert shown.endswith(b"hidden" + b"-" * (len(token) - 6) + b">")


@pytest.mark.parametrize("tenant", ["", "a", "acme", "öäü" * 9, "☃" * 20, "x" * 100])
def test_tokens_of_all_tenants_and_signatures_are_hidden(tenant: str) -> None:
    for at in range(500):
        token = link_tokens.sign(PROJECT, b"purpose", links.Unsubscription(tenant, "é", at, "x"))
        text = f"-{token}{token} {token}".encode()
        assert link_tokens.hide(text).count(b"hidden") >= 2
        assert token[:21].encode() not in link_tokens.hide(text)


@pytest.mark.parametrize(
    "text",
    ["/u/alice", "/preferences/2f6c1a7e-0d6b-4c1e-9f5e-1c2d3e4f5a6b", "/users/" + "a" * 60, "si" * 60, "Fsi" * 60],
)
def test_other_texts_stay(text: str) -> None:
    assert link_tokens.hide(text.encode()) == text.encode()


def test_images_in_base64_stay() -> None:
    image = base64.urlsafe_b64encode(random.Random(1).randbytes(1_000_000))
    assert link_tokens.BEGINNING.search(image) is not None
    assert link_tokens.hide(image) == image
