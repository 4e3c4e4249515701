"""The lead market example as a process, with a Bellcast server."""

import httpx

from bellcast.examples.lead_market import SERVER_SETTINGS
from tests.example_apps import Site
from tests.wire.pusher_clients import installed


class Market(Site):
    module = "examples.lead_market"
    database = "leadwell.db"
    visitor = Site.signed_in

    def settings(self) -> dict[str, str]:
        return {f"BELLCAST_{name.upper()}": value for name, value in SERVER_SETTINGS.items()}

    def options(self) -> list[str]:
        return ["--libraries", str(installed() / "node_modules")]

    def titles(self, person: str) -> list[str]:
        """Return the inbox of a person."""
        inbox = httpx.get(f"{self.server.url}/v1/inbox", headers=self.server.as_recipient(person), timeout=60)
        return [one["title"] for one in inbox.json()["notifications"]]
