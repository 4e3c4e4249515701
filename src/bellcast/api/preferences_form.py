"""The form of the preferences page: its HTML, and the changes of a submitted form."""

from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

from bellcast.channels.explanations import NAMES
from bellcast.model import local_times
from bellcast.model.preferences import CHANNELS, Preferences, QuietHours, TypeRules, merge_patch
from bellcast.preferences import Layers, Occasion
from bellcast.preferences.decision import switch

FREQUENCIES = {"instant": "At once", "hourly": "Every hour", "daily": "Every day", "weekly": "Every week"}
LABELS = {"inbox": "Inbox", "email": "E-mail", "sms": "SMS", "push": "Push", "chat": "Chat"}
# The name of the row whose switches affect whole channels. A notification type cannot have this name in the form.
ALL_TYPES = "\x00"


def _is_on(layers: Layers, type: str, channel: Any, rules: TypeRules) -> bool:
    occasion = Occasion(channel=channel, type=type, priority="normal", now=0, zone=local_times.UTC_ZONE)
    layers = msgspec.structs.replace(layers, rules=rules)
    return switch("channel" if type == ALL_TYPES else "type", occasion, layers)[0]


def changed(
    before: Preferences, fields: dict[str, list[str]], rules: Mapping[str, TypeRules], layers: Layers
) -> Preferences:
    """Apply the form. Only fields that differ from the displayed form are written, because types may have been added
    since."""
    layers = msgspec.structs.replace(layers, recipient=before)
    switched = set(fields.get("on", [])) ^ set(fields.get("was", []))
    ticked = set(fields.get("on", []))
    patch: dict[str, Any] = {"channels": {}, "types": {}, "digest": {}, "muted": {}}
    for type, type_rules in _rows(rules):
        for channel in CHANNELS:
            if type_rules.requires(channel) or (value := _switch(type, channel)) not in switched:
                continue
            target = patch["channels"] if type == ALL_TYPES else patch["types"].setdefault(type, {})
            target[channel] = value in ticked
        frequency = fields.get(f"digest.{type}", [""])[0]
        if type != ALL_TYPES and frequency in FREQUENCIES and frequency != _frequency(layers, type):
            patch["digest"][type] = frequency
    if "digest_at" in fields and _is_time(fields["digest_at"][0]):
        patch["digest_at"] = fields["digest_at"][0]
    start, end = (fields.get(name, [""])[0] for name in ("start", "end"))
    is_quiet = "quiet" in fields and _is_time(start) and _is_time(end)
    if is_quiet:
        patch["quiet_hours"] = {"start": start, "end": end}
    elif isinstance(_quiet_hours(layers), QuietHours):
        patch["quiet_hours"] = False
    patch["muted"]["*"] = True if "muted" in fields else None
    merged = merge_patch(msgspec.to_builtins(before), patch)
    return msgspec.convert(merged, Preferences)


def _switch(type: str, channel: str) -> str:
    """Return the value of a switch in the form."""
    return f"{channel}:{'' if type == ALL_TYPES else type}"


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


def html(rules: Mapping[str, TypeRules], names: dict[str, str], layers: Layers) -> str:
    """Return the form for the effective preferences. `names` are the displayed names of the types."""
    head = "".join(f"<th scope=col>{LABELS[channel]}" for channel in CHANNELS)
    body = "".join(_row(row, names, layers) for row in _rows(rules))
    quiet = _quiet_hours(layers)
    hours = quiet if isinstance(quiet, QuietHours) else QuietHours("22:00", "07:00")
    digest_at = next((one.digest_at for _, one in layers.documents() if one.digest_at is not None), "08:00")
    return f"""<form method="post">
<div class=scroll><table>
<thead><tr><th scope=col>Type{head}<th scope=col>How often</thead>
<tbody>{body}</tbody>
</table></div>
<fieldset><legend>Quiet hours</legend>
<label><input type=checkbox name=quiet{_checked(is_on=isinstance(quiet, QuietHours))}> Hold everything but the inbox</label>
<label>from <input type=time name=start value="{escape(hours.start)}"></label>
<label>to <input type=time name=end value="{escape(hours.end)}"></label>
</fieldset>
<fieldset><legend>Daily and weekly e-mails</legend>
<label>at <input type=time name=digest_at value="{escape(digest_at)}"></label>
</fieldset>
<fieldset><legend>Mute</legend>
<label><input type=checkbox name=muted{_checked(is_on=layers.recipient.muted.get("*") is True)}> Inbox only, until I turn this off</label>
</fieldset>
<button>Save</button>
</form>"""


def _row(row: tuple[str, TypeRules], names: dict[str, str], layers: Layers) -> str:
    type, rules = row
    name = "All notifications" if type == ALL_TYPES else names[type]
    cells = "".join(_cell(name, type, channel, rules, layers) for channel in CHANNELS)
    return f"<tr><th scope=row>{escape(name)}{cells}<td>{'' if type == ALL_TYPES else _select(name, type, layers)}"


def _cell(name: str, type: str, channel: Any, rules: TypeRules, layers: Layers) -> str:
    is_required = rules.requires(channel)
    is_on = is_required or _is_on(layers, type, channel, rules)
    state = " checked disabled" if is_required else _checked(is_on=is_on)
    value = escape(_switch(type, channel))
    was = f'<input type=hidden name=was value="{value}">' if is_on and not is_required else ""
    label = escape(f"{name}: {NAMES[channel]}{' (required)' if is_required else ''}")
    return f'<td><input type=checkbox name=on value="{value}" aria-label="{label}"{state}>{was}'


def _select(name: str, type: str, layers: Layers) -> str:
    chosen = _frequency(layers, type)
    options = "".join(
        f"<option value={value}{' selected' if value == chosen else ''}>{label}" for value, label in FREQUENCIES.items()
    )
    return f'<select name="digest.{escape(type)}" aria-label="{escape(name)}: how often">{options}</select>'


def _checked(*, is_on: bool) -> str:
    return " checked" if is_on else ""
