"""Paths in logs, without the tokens that they may contain."""

from urllib.parse import quote

import pytest

from bellcast.auth import link_tokens
from bellcast.auth.link_tokens import TokenPaths
from bellcast.channels import links
from bellcast.channels.http.mailbox import MailboxGrant
from bellcast.channels.types import ChannelConfig
from bellcast.kernel.identities import Project

PROJECT = Project("42", "public-key", "the secret of the project, forty characters")
URLS = links.links(ChannelConfig(public_url="https://bell.example"), PROJECT, "", "a", ["x"], 1_700_000_000_000)

paths = TokenPaths(["/u/{token}", "/{tenant}/page/{token}", "/v1/tokens", "/v1/recipients/{key}/preferences"])


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/u/secret", "/u/hidden"),
        ("/u/secret/", "/u/hidden/"),
        ("//u//secret", "//u//hidden"),
        ("/acme/page/secret", "/acme/page/hidden"),
        ("/u/", "/u/"),
        ("/v1/recipients/u/preferences", "/v1/recipients/u/preferences"),
        ("/v1/tokens", "/v1/tokens"),
        ("/U/secret", "/U/hidden"),
        ("/%75/secret", "/u/hidden"),
        ("/%75%2Fsecret", "/u/hidden"),
        ("/%2575/secret", "/u/hidden"),
        (f"/v1/recipients/{'k' * 64}", f"/v1/recipients/{'k' * 64}"),
        (f"/app/{'k' * 40}", f"/app/{'k' * 40}"),
        ("/v1/topics/50%25", "/v1/topics/50%25"),
    ],
)
def test_token_is_hidden_and_everything_else_stays(path: str, logged: str) -> None:
    assert paths.hide(path) == logged


@pytest.mark.parametrize(
    "path",
    [
        "/mount/u/TOKEN/x",
        "/x/../u/TOKEN",
        "/u/../u/TOKEN",
        "/u/secret/u/TOKEN",
        f"/app/bc_{'a' * 12}_{'b' * 64}/TOKEN",
        "/v1/u/TOKEN",
        "/console/u/TOKEN",
        "/u%25252FTOKEN",
        "/u\\TOKEN",
        "/u.TOKEN",
        "/v1/recipients/TOKEN",
        "/api/TOKEN",
        "/x,TOKEN%00",
        "/TOKEN",
        "/x/https%3A%2F%2Fbell.example%2Fu%2FTOKEN",
    ],
)
def test_token_is_hidden_wherever_it_stands_in_a_path(path: str) -> None:
    """Those of the mailbox are the shortest."""
    for token in (
        URLS["preferences_url"].rpartition("/")[2],
        link_tokens.sign(PROJECT, b"mailbox", MailboxGrant("", 1_700_000_000_000)),
    ):
        escaped = f"{token[:20]}%{ord(token[20]):02x}{token[21:]}"
        for written in (token, escaped):
            logged = paths.hide(path.replace("TOKEN", written))
            assert "hidden" in logged
            assert token[:19] not in logged


def test_session_token_in_a_path_is_hidden() -> None:
    assert paths.hide("/v1/inbox/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_x/seen") == "/v1/inbox/hidden/seen"


@pytest.mark.parametrize(
    "credential", [PROJECT.secret, f"bc_{'a' * 12}_{'b' * 64}", "eyJhbGciOiJI.eyJzdWIiOiJhIn0.c2ln"]
)
@pytest.mark.parametrize("path", ["/app/SECRET", "/apps/SECRET/events", "/x,SECRET"])
def test_credential_in_a_path_is_hidden(path: str, credential: str) -> None:
    paths = TokenPaths(["/u/{token}"], [PROJECT.secret])
    for written in (credential, quote(credential, safe=""), quote(quote(credential, safe=""), safe="")):
        assert paths.hide(path.replace("SECRET", written)) == path.replace("SECRET", "hidden")


def test_paths_without_tokens_stay() -> None:
    assert TokenPaths(["/v1/inbox"]).hide("/v1/inbox") == "/v1/inbox"
