"""The path that requests are routed by."""

import pytest

from bellcast.server.api_app import path_as_sent


@pytest.mark.parametrize(
    ("path", "raw", "root", "expected"),
    [
        ("/v1/inbox", b"/v1/inbox", "", "/v1/inbox"),
        ("/v1/recipients/a/b", b"/v1/recipients/a%2Fb", "", "/v1/recipients/a%2Fb"),
        ("/v1/recipients/é", b"/v1/recipients/%C3%A9", "", "/v1/recipients/%C3%A9"),
        ("/v1/recipients/a%2Fb", b"/v1/recipients/a%252Fb", "", "/v1/recipients/a%252Fb"),
        ("/bell/v1/inbox", b"/bell/v1/inbox", "/bell", "/v1/inbox"),
        ("/bell/v1/recipients/a/b", b"/bell/v1/recipients/a%2Fb", "/bell", "/v1/recipients/a%2Fb"),
        ("/größe/v1/inbox", b"/gr%C3%B6%C3%9Fe/v1/inbox", "/größe", "/v1/inbox"),
        ("/größe/v1/inbox", b"/gr%c3%b6%c3%9fe/v1/inbox", "/größe", "/v1/inbox"),
        ("/~bell/a/b", b"/%7ebell/a%2fb", "/~bell", "/a%2fb"),
        ("/bell", b"/bell", "/bell", ""),
        ("/bellows/v1", b"/bellows/v1", "/bell", "/bellows/v1"),
        ("/v1/inbox", None, "", "/v1/inbox"),
        ("/v1/recipients/50%", None, "", "/v1/recipients/50%25"),
        ("/v1/inbox", b"/bell/v1/inbox", "", "/v1/inbox"),
    ],
    ids=[
        "plain",
        "a slash in a key",
        "beyond ASCII",
        "an escape of an escape",
        "mounted",
        "mounted, a slash in a key",
        "mounted beyond ASCII",
        "mounted beyond ASCII, in lower case",
        "mounted, encoded without need",
        "the mount itself",
        "beside the mount",
        "a server without raw_path",
        "a server without raw_path, a per cent sign",
        "rewritten on the way",
    ],
)
def test_routed_path_is_the_path_as_sent_below_the_mount(path, raw, root, expected):
    scope = {"path": path, "root_path": root} | ({} if raw is None else {"raw_path": raw})
    assert path_as_sent(scope) == expected
