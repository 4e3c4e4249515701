"""Links that change preferences in texts of responses."""

import pytest

from bellcast.channels import links
from bellcast.channels.config import ChannelConfig
from bellcast.model.identities import Project

PROJECT = Project("42", "public-key", "the secret of the project, forty characters")
URLS = links.links(ChannelConfig(public_url="https://bell.example/bell/"), PROJECT, "", "a", ["x"], 1_700_000_000_000)


@pytest.mark.parametrize("name", ["unsubscribe_url", "preferences_url"])
@pytest.mark.parametrize("slash", ["/", "%2F"])
def test_token_is_hidden_in_a_text_of_the_same_length(name: str, slash: str) -> None:
    """The tokens of the shortest tenant, recipient and type."""
    head, token = URLS[name].replace("/", slash).rsplit(slash, 1)
    shown = links.hide(f"Here: {head}{slash}{token}>".encode()).decode()
    assert shown == f"Here: {head}{slash}{'hidden'.ljust(len(token), '-')}>"
    assert token not in shown


@pytest.mark.parametrize(
    "text", ["/u/alice", "/preferences/2f6c1a7e-0d6b-4c1e-9f5e-1c2d3e4f5a6b", "/users/" + "a" * 60]
)
def test_other_links_stay(text: str) -> None:
    assert links.hide(text.encode()) == text.encode()
