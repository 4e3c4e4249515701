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
    ],
)
def test_token_is_hidden_and_everything_else_stays(path: str, logged: str) -> None:
    assert paths.hide(path) == logged


def test_paths_without_tokens_stay() -> None:
    assert TokenPaths(["/v1/inbox"]).hide("/v1/inbox") == "/v1/inbox"
