"""Chat messages through Apprise, with a stand-in for the library, which is optional."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import apprise
from bellcast.providers.vendor_api import mask
from tests.provider_setup import outgoing, setup

MESSAGE = outgoing("m1", "@desk", {"text": "New booking"})


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """URLs and texts that were sent; a URL of `down` fails."""
    sent: list[tuple[str, str]] = []

    def instantiate(url: str) -> SimpleNamespace | None:
        def notify(*, body: str, title: str) -> bool:
            sent.append((url, title + body))
            return "down" not in url

        return None if url.startswith("unknown:") else SimpleNamespace(notify=notify)

    library = SimpleNamespace(Apprise=SimpleNamespace(instantiate=instantiate))
    monkeypatch.setitem(sys.modules, "apprise", library)  # type: ignore[arg-type]  # of the library, only this is used
    return sent


async def test_message_is_sent_to_the_chat_id_in_the_url(sent: list[tuple[str, str]]) -> None:
    provider = apprise.AppriseProvider(setup("apprise+tgram://1:token/{to}", may_read_files=True))
    accepted = await provider.send(MESSAGE)
    assert accepted.code == "ok"
    assert sent == [("tgram://1:token/%40desk", "New booking")]


async def test_message_that_is_not_delivered_is_tried_again(sent: list[tuple[str, str]]) -> None:
    with pytest.raises(DeliveryError) as failure:
        await apprise.AppriseProvider(setup("apprise+json://down/", may_read_files=True)).send(MESSAGE)
    assert (failure.value.is_temporary, len(sent)) == (True, 1)


PROCESS = """
import asyncio, sys, threading
from types import SimpleNamespace
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import apprise
from bellcast.providers.types import OutgoingMessage
from tests.provider_setup import outgoing, setup

hanging = SimpleNamespace(notify=lambda **_: threading.Event().wait())
sys.modules["apprise"] = SimpleNamespace(Apprise=SimpleNamespace(instantiate=lambda url: hanging))

async def main():
    provider = apprise.AppriseProvider(setup("apprise+json://host/", timeout=0.1, may_read_files=True))
    message = outgoing("m1", "@desk", {"text": "New booking"})
    found = await asyncio.gather(*(provider.send(message) for _ in range(apprise.MAX_CALLS + 1)), return_exceptions=True)
    print(*sorted({(str(one), one.is_timeout) for one in found}))
    print(await asyncio.to_thread(lambda: "the executor is free"))
asyncio.run(main())
"""


def test_hanging_service_delays_neither_other_threads_nor_the_end_of_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=60, check=True)
    results = "('Apprise took too long', True) ('too many calls of Apprise have not returned', False)"
    assert (ended.stdout, ended.stderr) == (f"{results}\nthe executor is free\n", "")


def test_unusable_url_is_refused(sent: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="Apprise supports"):
        apprise.AppriseProvider(setup("apprise+unknown://x", may_read_files=True))
    with pytest.raises(ValueError, match="must be in BELLCAST_CHAT"):
        apprise.AppriseProvider(setup("apprise+json://host/"))


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # type: ignore[arg-type]  # None makes the import fail
    with pytest.raises(ValueError, match=r"bellcast\[apprise\]"):
        apprise.AppriseProvider(setup("apprise+json://host/", may_read_files=True))


def test_url_is_shown_without_its_secrets() -> None:
    assert mask("apprise+tgram://123456:ABC/4711") == "apprise+tgram://…"
