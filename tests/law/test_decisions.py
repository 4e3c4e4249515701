"""What is sent equals the pure decision, and `explain` and the timeline name the same rule.

Random preferences of recipients, tenants and the project, random types, addresses, quiet hours and digests."""

import random
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bellcast.model.notifications import Priority
from bellcast.model.preferences import CHANNELS, NO_PREFERENCES, Preferences, TypeRules
from bellcast.preferences import Decision, Layers, Occasion, decide
from tests.journey.channels import World, opened

TYPES, TENANTS, SENDS = ("news", "invoice", "chat"), ("", "acme", "globex"), 60
ZONES = ("UTC", "Europe/Vienna", "Asia/Kathmandu", "America/Los_Angeles")
USED = ("inbox", "email", "sms")


class Choices:
    """Random documents; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def switches(self) -> dict[str, bool]:
        return {channel: self.random.random() < 0.5 for channel in USED if self.random.random() < 0.3}

    def preferences(self, *, can_mute: bool = False) -> dict[str, Any]:
        draw = self.random
        document: dict[str, Any] = {"channels": self.switches() if draw.random() < 0.5 else {}}
        document["types"] = {type: self.switches() for type in TYPES if draw.random() < 0.4}
        frequencies = ("instant", "hourly", "daily", "weekly")
        document["digest"] = {type: draw.choice(frequencies) for type in TYPES if draw.random() < 0.2}
        if draw.random() < 0.4:
            document["quiet_hours"] = draw.choice([False, {"start": self.time(), "end": self.time()}])
        if draw.random() < 0.3:
            document["digest_at"] = self.time()
        if can_mute and draw.random() < 0.2:
            until = draw.choice([True, "2026-06-10T11:00:00Z", "2026-06-11T00:00:00Z"])
            document["muted"] = {draw.choice(("*", *TYPES)): until}
        return document

    def time(self) -> str:
        return f"{self.random.randrange(24):02}:{self.random.choice((0, 30)):02}"

    def type(self) -> dict[str, Any]:
        required = self.random.choice([False, False, ["email"], ["inbox", "sms"], True])
        taken = USED if required is True else required or ()
        return {
            "required": required,
            "defaults": {name: on for name, on in self.switches().items() if name not in taken},
        }


def drop_required(document: dict[str, Any], types: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document without switches against required channels, which the API refuses."""
    for type, switches in document["types"].items():
        rules = msgspec.convert(types[type], TypeRules)
        for channel in [name for name, on in switches.items() if not on and rules.requires(name)]:
            del switches[channel]
    return document


@pytest.mark.parametrize("seed", range(3))
async def test_deliveries_equal_the_pure_decision_and_explanations_name_its_rule(tmp_path: Path, seed: int) -> None:
    choices = Choices(seed)
    draw = choices.random
    async with opened(tmp_path) as world:
        types = {type: choices.type() for type in TYPES}
        for type, body in types.items():
            await world.put(f"/v1/types/{type}", body)
        defaults: dict[str, dict[str, Any]] = {}
        for tenant in TENANTS:
            defaults[tenant] = drop_required(choices.preferences(), types)
            await world.put(f"/v1/preference-defaults{of(tenant)}", defaults[tenant])
        for number in range(SENDS):
            tenant, type, key = draw.choice(TENANTS), draw.choice(TYPES), f"r{number}"
            priority: Priority = draw.choice(get_args(Priority))
            record = {"timezone": draw.choice(ZONES)}
            if draw.random() < 0.85:
                record["email"] = draw.choice([f"{key}@example.com"] * 5 + ["not an address"])
            if draw.random() < 0.85:
                record["phone"] = f"+4366012345{number:02}"
            own = drop_required(choices.preferences(can_mute=True), types)
            await world.put(f"/v1/recipients/{key}{of(tenant)}", record)
            await world.put(f"/v1/recipients/{key}/preferences{of(tenant)}", own)
            if draw.random() < 0.1 and "@" in record.get("email", ""):
                await world.put(f"/v1/suppressions/email/{record['email']}{of(tenant)}", {})
                record["suppressed"] = "yes"
            layers = Layers(
                recipient=msgspec.convert(own, Preferences),
                tenant=NO_PREFERENCES if tenant == "" else msgspec.convert(defaults[tenant], Preferences),
                project=msgspec.convert(defaults[""], Preferences),
                rules=msgspec.convert(types[type], TypeRules),
            )
            expected = {channel: decide(occasion(world, channel, type, priority, record), layers) for channel in USED}
            await check(world, key, tenant, {"type": type, "priority": priority}, expected)


def of(tenant: str) -> str:
    return f"?tenant={tenant}" if tenant else ""


def occasion(world: World, channel: Any, type: str, priority: Priority, record: dict[str, str]) -> Occasion:
    problem: Any = None
    if channel == "email":
        address = record.get("email")
        problem = "no_address" if address is None else None if "@" in address else "invalid_address"
        problem = problem or ("suppressed" if "suppressed" in record else None)
    elif channel == "sms":
        problem = None if "phone" in record else "no_address"
    return Occasion(
        channel=channel,
        type=type,
        priority=priority,
        now=world.clock.now(),
        zone=ZoneInfo(record["timezone"]),
        address_problem=problem,
    )


async def check(world: World, key: str, tenant: str, fields: dict[str, Any], expected: dict[str, Decision]) -> None:
    params = {"tenant": tenant} if tenant else {}
    draft = {"to": key, "title": "Hi", "channels": list(USED), **fields}
    answer = await world.request("POST", "/v1/notifications", draft, **params)
    id = answer["notifications"][0]["id"]
    await world.run_due()
    outcomes = {channel: (decision.outcome, decision.rule, decision.by) for channel, decision in expected.items()}
    explained = (await world.get("/v1/explain", recipient=key, notification=id, **params))["channels"]
    assert {one["channel"]: (one["outcome"], one["rule"], one["by"]) for one in explained} == outcomes
    now = (await world.get("/v1/explain", recipient=key, type=fields["type"], **params))["channels"]
    if fields["priority"] != "urgent":
        assert {one["channel"]: one["rule"] for one in now if one["channel"] in USED} == {
            channel: decision.rule for channel, decision in expected.items()
        }
    messages = {one["channel"]: one for one in await world.messages(recipient=key, **params)}
    states = {"send": "simulated", "hold": "held"}
    assert {channel: one["state"] for channel, one in messages.items()} == {
        channel: states[decision.outcome]
        for channel, decision in expected.items()
        if channel != "inbox" and decision.outcome != "skip"
    }
    shown = await world.get(f"/v1/notifications/{id}", **params)
    has_item = any(entry["what"] == "created" for entry in shown["timeline"])
    assert has_item == (expected["inbox"].outcome == "send")
    if has_item:
        entries = (await world.get(f"/v1/notifications/{id}", **params))["timeline"]
        named = {one["channel"]: (one["rule"], one["by"]) for one in entries if one["what"] in NAMED}
        assert named == {channel: (decision.rule, decision.by) for channel, decision in expected.items()}


NAMED = ("routed", "held", "skipped")
assert set(USED) < set(CHANNELS)
