"""Sends match the pure decision, and `explain` and the timeline name the same rule. Random preferences of recipients,
tenants and the project, random types, addresses, quiet hours, digests and workflows."""

import random
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bellcast.inbox.types import NotificationType
from bellcast.preferences.decision import Decision, Layers, Occasion, decide
from bellcast.preferences.types import CHANNELS, NO_PREFERENCES, Preferences, Priority
from tests.journey.channels import World, opened

TYPES, TENANTS, SENDS = ("news", "invoice", "chat"), ("", "acme", "globex"), 60
ZONES = ("UTC", "Europe/Vienna", "Asia/Kathmandu", "America/Los_Angeles")
USED = ("inbox", "email", "sms")
CONTENTS = {"inbox": {"title": "Hi"}, "email": {"subject": "Hi", "text": "Hi"}, "sms": {"text": "Hi"}}
FLOWS = ("welcome", "booked")


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
        document["workflows"] = {flow: self.switches() for flow in FLOWS if draw.random() < 0.4}
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

    def flow(self) -> dict[str, Any]:
        """A workflow that sends through some of the channels, in any order."""
        channels = self.random.sample(USED, self.random.randint(1, len(USED)))
        steps = [{"key": channel, "type": channel, **CONTENTS[channel]} for channel in channels]
        return {"type": self.random.choice(TYPES), "steps": steps}


def drop_required(document: dict[str, Any], types: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the document without disabled required channels, which the API refuses."""
    for type, switches in document["types"].items():
        rules = msgspec.convert(types[type], NotificationType)
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
        flows = {flow: choices.flow() for flow in FLOWS}
        for flow, body in flows.items():
            await world.put(f"/v1/workflows/{flow}", body)
        defaults: dict[str, dict[str, Any]] = {}
        for tenant in TENANTS:
            defaults[tenant] = drop_required(choices.preferences(), types)
            await world.put(f"/v1/preference-defaults{of(tenant)}", defaults[tenant])
        for number in range(SENDS):
            tenant, type, key = draw.choice(TENANTS), draw.choice(TYPES), f"r{number}"
            flow = draw.choice(FLOWS) if draw.random() < 0.4 else None
            type = type if flow is None else flows[flow]["type"]
            priority: Priority = draw.choice(get_args(Priority)) if flow is None else "normal"
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
                rules=msgspec.convert(types[type], NotificationType),
            )
            used = USED if flow is None else [step["type"] for step in flows[flow]["steps"]]
            occasions = {channel: occasion(world, channel, type, priority, record, flow) for channel in used}
            expected = {channel: decide(one, layers) for channel, one in occasions.items()}
            if flow is None:
                await check(world, key, tenant, {"type": type, "priority": priority}, expected)
            else:
                await check_run(world, key, tenant, flow, expected)


def of(tenant: str) -> str:
    return f"?tenant={tenant}" if tenant else ""


def occasion(
    world: World, channel: Any, type: str, priority: Priority, record: dict[str, str], flow: str | None
) -> Occasion:
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
        workflow=flow,
        address_problem=problem,
    )


async def check(world: World, key: str, tenant: str, fields: dict[str, Any], expected: dict[str, Decision]) -> None:
    params = {"tenant": tenant} if tenant else {}
    draft = {"to": key, "title": "Hi", "channels": list(USED), **fields}
    response = await world.request("POST", "/v1/notifications", draft, **params)
    id = response["notifications"][0]["id"]
    await world.run_due()
    explained = (await world.get("/v1/explain", recipient=key, notification=id, **params))["channels"]
    assert_decided(explained, expected)
    now = (await world.get("/v1/explain", recipient=key, type=fields["type"], **params))["channels"]
    if fields["priority"] != "urgent":
        assert {one["channel"]: one["rule"] for one in now if one["channel"] in USED} == {
            channel: decision.rule for channel, decision in expected.items()
        }
    assert_sent(await world.messages(recipient=key, **params), expected)
    shown = await world.get(f"/v1/notifications/{id}", **params)
    has_item = any(entry["what"] == "created" for entry in shown["timeline"])
    assert has_item == (expected["inbox"].outcome == "send")
    if has_item:
        entries = (await world.get(f"/v1/notifications/{id}", **params))["timeline"]
        named = {one["channel"]: (one["rule"], one["by"]) for one in entries if one["what"] in NAMED}
        assert named == {channel: (decision.rule, decision.by) for channel, decision in expected.items()}


async def check_run(world: World, key: str, tenant: str, flow: str, expected: dict[str, Decision]) -> None:
    params = {"tenant": tenant} if tenant else {}
    run = (await world.request("POST", f"/v1/workflows/{flow}/trigger", {"to": key}, **params))["run"]
    await world.run_due()
    assert_decided((await world.get("/v1/explain", recipient=key, run=run, **params))["channels"], expected)
    assert_sent(await world.messages(recipient=key, **params), expected)
    shown = await world.get(f"/v1/runs/{run}", **params)
    assert shown["state"] == "completed"
    states = {step["key"]: (step["state"], step["reason"]) for step in shown["steps"]}
    assert states == {
        channel: ("skipped" if decision.outcome == "skip" else "done", decision.rule)
        for channel, decision in expected.items()
    }
    rows = (await world.get(f"/v1/recipients/{key}", **params))["unread"]
    assert rows == ("inbox" in expected and expected["inbox"].outcome == "send")


def assert_decided(explained: list[dict[str, Any]], expected: dict[str, Decision]) -> None:
    """Each channel was decided as expected, and the explanation names the rule and its document."""
    outcomes = {channel: (decision.outcome, decision.rule, decision.by) for channel, decision in expected.items()}
    assert {one["channel"]: (one["outcome"], one["rule"], one["by"]) for one in explained} == outcomes


def assert_sent(messages: list[dict[str, Any]], expected: dict[str, Decision]) -> None:
    """There is a message for each channel outside the inbox that was not skipped, and no other."""
    states = {"send": "simulated", "hold": "held"}
    assert sorted((one["channel"], one["state"]) for one in messages) == sorted(
        (channel, states[decision.outcome])
        for channel, decision in expected.items()
        if channel != "inbox" and decision.outcome != "skip"
    )


NAMED = ("routed", "held", "skipped")
assert set(USED) < set(CHANNELS)
