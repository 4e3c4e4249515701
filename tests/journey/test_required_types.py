"""Alice has switched a type off before the app required it: she receives it again."""

from pathlib import Path

from tests.journey.channels import opened

OWN = "/v1/recipients/alice/preferences"


async def test_required_type_is_delivered_despite_stored_switches(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        off = {"booking": {"inbox": False, "email": False}}
        await world.request("PATCH", OWN, {"types": off, "digest": {"booking": "daily"}})
        await world.put("/v1/preference-defaults", {"types": off})
        delivered = []
        for is_required in (False, True):
            await world.put("/v1/types/booking", {"required": is_required})
            # Other changes keep the switches.
            await world.request("PATCH", OWN, {"channels": {"inbox": False, "sms": False}})
            await world.request("PATCH", "/v1/preference-defaults", {"channels": {"email": False}})
            await world.send(type="booking", channels=["inbox", "email"])
            await world.run_due()
            inbox = [one for one in (await world.get("/v1/notifications"))["notifications"] if one["in_inbox"]]
            delivered.append((len(inbox), [message["state"] for message in await world.messages()]))
        assert delivered == [(0, []), (1, ["simulated"])]
        assert (await world.get(OWN))["types"] == off
