"""`bellcast api` on a running server."""

import pytest

from tests.journey.shell import bellcast


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def test_response_is_printed(project):
    for title in ("First", "Second"):
        bellcast("notify", "api-alice", title, **project)
    listed = bellcast("api", "get", "/v1/notifications?recipient=api-alice&limit=1", **project).json["notifications"]
    assert [one["title"] for one in listed] == ["Second"]


def test_body_is_an_option_a_file_or_standard_input(project, tmp_path):
    file = tmp_path / "bob.json"
    file.write_text('{"name": "Of a file"}')
    given = [('{"name": "Of the option"}', ""), (f"@{file}", ""), ("@-", '{"name": "Of the input"}')]
    names = []
    for body, stdin in given:
        written = bellcast("api", "PUT", "/v1/recipients/api%2Fbob", "--body", body, stdin=stdin, **project)
        assert written.status == 0, written.err
        names.append(bellcast("api", "GET", "/v1/recipients/api%2Fbob", **project).json["name"])
    assert names == ["Of the option", "Of a file", "Of the input"]


def test_other_formats_are_printed_as_they_are(project):
    bellcast("notify", "api-carol", "Hi", **project)
    listed = bellcast("api", "GET", "/v1/notifications?recipient=api-carol", "--accept", "text/csv", **project)
    assert listed.out.startswith("id,")
    assert len(listed.out.splitlines()) == 2


def test_response_without_a_body_prints_no_result(project):
    bellcast("notify", "api-dave", "Hi", **project)
    ended = bellcast("api", "DELETE", "/v1/recipients/api-dave", **project)
    assert (ended.status, ended.out) == (0, "")
    missing = bellcast("api", "GET", "/v1/recipients/api-dave", **project)
    assert (missing.status, missing.out) == (1, "")


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("FETCH", "/v1/nodes"), "METHOD"),
        (("GET", "v1/nodes"), "PATH"),
        (("GET", "https://evil.example/v1/nodes"), "PATH"),
        (("GET", "//evil.example/v1/nodes"), "PATH"),
        (("POST", "/v1/events", "--body", "{"), "--body"),
        (("POST", "/v1/events", "--body", "@missing.json"), "--body"),
    ],
)
def test_wrong_argument_is_a_usage_error(project, args, named):
    refused = bellcast("api", *args, **project)
    assert refused.status == 2
    assert named in refused.err


def test_unknown_path_is_reported(project):
    refused = bellcast("api", "GET", "/v1/no-such", **project)
    assert refused.status == 1
    assert refused.err.endswith("All paths are listed at /docs; check the path.\n")
