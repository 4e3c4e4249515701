"""Paths in logs, without the tokens that they may contain."""

import pytest

from bellcast.api.token_paths import TokenPaths

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
        (f"/mount/u/{'s' * 60}/x", "/mount/u/hidden/x"),
        (f"/x/../u/{'s' * 60}", "/x/../u/hidden"),
        (f"/v1/recipients/{'k' * 64}", f"/v1/recipients/{'k' * 64}"),
        (f"/app/{'k' * 40}", f"/app/{'k' * 40}"),
        ("/v1/topics/50%25", "/v1/topics/50%25"),
    ],
)
def test_token_is_hidden_and_everything_else_stays(path: str, logged: str) -> None:
    assert paths.hide(path) == logged


def test_paths_without_tokens_stay() -> None:
    assert TokenPaths(["/v1/inbox"]).hide("/v1/inbox") == "/v1/inbox"
