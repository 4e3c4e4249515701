"""The form of the preferences page: its HTML, and the changes of a submitted form."""

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from bellcast.channels.explanations import NAMES
from bellcast.model import local_times, times
from bellcast.model.preferences import CHANNELS, Preferences, QuietHours, TypeRules, merge_patch
from bellcast.preferences import Layers, Occasion, decision
from bellcast.preferences.decision import EVERY_TYPE

FREQUENCIES = {"instant": "Immediately", "hourly": "Every hour", "daily": "Every day", "weekly": "Every week"}
LABELS = {"inbox": "Inbox", "email": "E-mail", "sms": "SMS", "push": "Push", "chat": "Chat"}
# The name of the row whose switches affect whole channels. A notification type cannot have this name in the form.
ALL_TYPES = "\x00"


def _is_on(layers: Layers, type: str, channel: Any, rules: TypeRules) -> bool:
    occasion = Occasion(channel=channel, type=type, priority="normal", now=0, zone=local_times.UTC_ZONE)
    layers = msgspec.structs.replace(layers, rules=rules)
    return decision.switch("channel" if type == ALL_TYPES else "type", occasion, layers)[0]


def changed(before: Preferences, fields: dict[str, list[str]], rules: Mapping[str, TypeRules]) -> Preferences:
    """Apply the form. Only fields that differ from the displayed form (`was`) are written: the others may have been
    changed since, or be defaults of the tenant or project."""
    switched = set(fields.get("on", [])) ^ set(fields.get("was", []))
    ticked = set(fields.get("on", []))
    patch: dict[str, Any] = {"channels": {}, "types": {}, "digest": {}, "muted": {}}
    for type, type_rules in _rows(rules):
        for channel in CHANNELS:
            if type_rules.requires(channel) or (value := _switch(type, channel)) not in switched:
                continue
            target = patch["channels"] if type == ALL_TYPES else patch["types"].setdefault(type, {})
            target[channel] = value in ticked
        frequency = _value(fields, digest := _digest(type))
        if type != ALL_TYPES and frequency in FREQUENCIES and _differs(fields, digest):
            patch["digest"][type] = frequency
    if _differs(fields, "digest_at") and _is_time(at := _value(fields, "digest_at")):
        patch["digest_at"] = at
    start, end = _value(fields, "start"), _value(fields, "end")
    if "quiet" not in fields:
        patch |= {"quiet_hours": False} if _differs(fields, "quiet") else {}
    elif _differs(fields, "quiet", "start", "end") and _is_time(start) and _is_time(end):
        patch["quiet_hours"] = {"start": start, "end": end}
    if _differs(fields, "muted"):
        patch["muted"][EVERY_TYPE] = True if "muted" in fields else None
    merged = merge_patch(msgspec.to_builtins(before), patch)
    return msgspec.convert(merged, Preferences)


def _value(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _differs(fields: dict[str, list[str]], *names: str) -> bool:
    """Return whether a field differs from the displayed form. A box that is not checked has no value."""
    return any(_value(fields, name) != _value(fields, f"was_{name}") for name in names)


def _switch(type: str, channel: str) -> str:
    """Return the value of a switch in the form. Browsers change line breaks in forms, so types are quoted."""
    return f"{channel}:{'' if type == ALL_TYPES else quote(type)}"


def _digest(type: str) -> str:
    """Return the name of the field with the frequency of a type."""
    return f"digest.{quote(type)}"


def _rows(rules: Mapping[str, TypeRules]) -> list[tuple[str, TypeRules]]:
    return [(ALL_TYPES, TypeRules()), *rules.items()]


def _frequency(layers: Layers, type: str) -> str:
    return next((found for _, one in layers.documents() if (found := one.digest.get(type)) is not None), "instant")


def _quiet_hours(layers: Layers) -> QuietHours | bool | None:
    return next((one.quiet_hours for _, one in layers.documents() if one.quiet_hours is not None), None)


def _is_time(text: str) -> bool:
    try:
        local_times.parse_time(text)
    except ValueError:
        return False
    return True


def html(rules: Mapping[str, TypeRules], names: dict[str, str], layers: Layers, now: int, zone: ZoneInfo) -> str:
    """Return the form for the effective preferences. `names` are the displayed names of the types, `zone` is the
    recipient's."""
    head = "".join(f"<th scope=col>{LABELS[channel]}" for channel in CHANNELS)
    body = "".join(_row(row, names, layers) for row in _rows(rules))
    quiet = _quiet_hours(layers)
    hours = quiet if isinstance(quiet, QuietHours) else QuietHours("22:00", "07:00")
    digest_at = next((one.digest_at for _, one in layers.documents() if one.digest_at is not None), "08:00")
    # Without autocompletion: on a reload, Firefox would show the old input in the new form.
    return f"""<form method="post" autocomplete="off">
<div class=scroll><table>
<thead><tr><th scope=col>Type{head}<th scope=col>How often</thead>
<tbody>{body}</tbody>
</table></div>
<fieldset><legend>Quiet hours</legend>
<label>{_box("quiet", is_on=isinstance(quiet, QuietHours))} Hold everything but the inbox</label>
<label>from {_time("start", hours.start)}</label>
<label>to {_time("end", hours.end)}</label>
</fieldset>
<fieldset><legend>Daily and weekly e-mails</legend>
<label>at {_time("digest_at", digest_at)}</label>
</fieldset>
<fieldset><legend>Mute</legend>
{_mute(layers.recipient, now, zone)}
</fieldset>
<button>Save</button>
</form>"""


def _row(row: tuple[str, TypeRules], names: dict[str, str], layers: Layers) -> str:
    type, rules = row
    name = "All notifications" if type == ALL_TYPES else names[type]
    cells = "".join(_cell(name, type, channel, rules, layers) for channel in CHANNELS)
    return f"<tr><th scope=row>{escape(name)}{cells}<td>{'' if type == ALL_TYPES else _frequencies(name, type, rules, layers)}"


def _cell(name: str, type: str, channel: Any, rules: TypeRules, layers: Layers) -> str:
    is_required = rules.requires(channel)
    is_on = is_required or _is_on(layers, type, channel, rules)
    state = " checked disabled" if is_required else _checked(is_on=is_on)
    value = _switch(type, channel)
    was = f'<input type=hidden name=was value="{value}">' if is_on and not is_required else ""
    label = escape(f"{name}: {NAMES[channel]}{' (required)' if is_required else ''}")
    return f'<td><input type=checkbox name=on value="{value}" aria-label="{label}"{state}>{was}'


def _frequencies(name: str, type: str, rules: TypeRules, layers: Layers) -> str:
    if rules.requires("email"):  # no digest applies
        return FREQUENCIES["instant"]
    chosen = _frequency(layers, type)
    options = "".join(
        f"<option value={value}{' selected' if value == chosen else ''}>{label}" for value, label in FREQUENCIES.items()
    )
    select = f'<select name="{_digest(type)}" aria-label="{escape(name)}: how often">{options}</select>'
    return select + _was(_digest(type), chosen)


def _mute(recipient: Preferences, now: int, zone: ZoneInfo) -> str:
    is_muted, until = decision.is_muted(recipient, EVERY_TYPE, now), recipient.muted.get(EVERY_TYPE, True)
    end = "I turn this off" if not is_muted or until is True else local_times.describe(times.milliseconds(until), zone)
    return f"<label>{_box('muted', is_on=is_muted)} Inbox only, until {escape(end)}</label>"


def _box(name: str, *, is_on: bool) -> str:
    return f"<input type=checkbox name={name}{_checked(is_on=is_on)}>{_was(name, 'on') if is_on else ''}"


def _time(name: str, value: str) -> str:
    return f'<input type=time name={name} value="{escape(value)}" required>{_was(name, value)}'


def _was(name: str, value: str) -> str:
    """Return a field with the displayed value of another field."""
    return f'<input type=hidden name="was_{escape(name)}" value="{escape(value)}">'


def _checked(*, is_on: bool) -> str:
    return " checked" if is_on else ""
