"""The form of the preferences page: its HTML, and the changes of a submitted form."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from bellcast.kernel import local_times, times
from bellcast.preferences import decision
from bellcast.preferences.decision import EVERY_TYPE, Layers, Occasion
from bellcast.preferences.types import CHANNELS, Channel, Preferences, QuietHours, TypeRules, merge_patch

FREQUENCIES = ("instant", "hourly", "daily", "weekly")
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


def _is_time(text: str) -> bool:
    try:
        local_times.parse_time(text)
    except ValueError:
        return False
    return True


def html(
    rules: Mapping[str, TypeRules],
    names: dict[str, str],
    layers: Layers,
    channels: Sequence[Channel],
    now: int,
    zone: ZoneInfo,
    texts: Mapping[str, str],
) -> str:
    """Return the form for the effective preferences. `names` are the displayed names of the types, `zone` is the
    recipient's, and `texts` are of the recipient's language (`channels/link_texts.json`)."""
    head = "".join(f"<span>{texts[channel]}</span>" for channel in channels)
    body = "\n".join(_row(row, names, layers, channels, texts) for row in _rows(rules))
    quiet = next((one.quiet_hours for _, one in layers.documents() if one.quiet_hours is not None), None)
    hours = quiet if isinstance(quiet, QuietHours) else QuietHours("22:00", "07:00")
    digest_at = next((one.digest_at for _, one in layers.documents() if one.digest_at is not None), "08:00")
    digest = (
        f"<label class=fields>{texts['digest_at']} {_time('digest_at', digest_at)}</label>\n"
        if "email" in channels
        else ""
    )
    is_muted, until = _mute(layers.recipient, now, zone)
    end = texts["until"].format(time=escape(until)) if until else texts["until_off"]
    # Without autocompletion: on a reload, Firefox would show the old input in the new form.
    return f"""<form method="post" autocomplete="off">
<div class=card>
<div class=part>
<label class=line><span><b>{texts["mute"]}</b><span class=hint>{texts["mute_hint"]} {end}.</span></span>{_switch_box("muted", is_on=is_muted)}</label>
</div>
<div class=part>
<h2>{texts["types"]}</h2>
<div class="type head" aria-hidden=true><span></span>{head}</div>
{body}
{digest}</div>
<div class=part>
<label class=line><span><b>{texts["quiet"]}</b><span class=hint>{texts["quiet_hint"]}</span></span>{_switch_box("quiet", is_on=isinstance(quiet, QuietHours))}</label>
<div class=fields><label>{texts["from"]} {_time("start", hours.start)}</label><label>{texts["to"]} {_time("end", hours.end)}</label></div>
</div>
</div>
<button>{texts["save"]}</button>
</form>"""


def _row(
    row: tuple[str, TypeRules],
    names: dict[str, str],
    layers: Layers,
    channels: Sequence[Channel],
    texts: Mapping[str, str],
) -> str:
    type, rules = row
    name = escape(texts["all"] if type == ALL_TYPES else names[type])
    cells = "".join(_cell(name, type, channel, rules, layers, texts) for channel in channels)
    required = ", ".join(texts[channel] for channel in channels if rules.requires(channel))
    hint = f"<span class=hint>{texts['required']}: {required}</span>" if required else ""
    return f'<div class=type role=group aria-label="{name}"><span>{name}{hint}</span>{cells}</div>'


def _cell(name: str, type: str, channel: Channel, rules: TypeRules, layers: Layers, texts: Mapping[str, str]) -> str:
    is_required = rules.requires(channel)
    is_on = is_required or _is_on(layers, type, channel, rules)
    state = " checked disabled" if is_required else _checked(is_on=is_on)
    value = _switch(type, channel)
    was = f'<input type=hidden name=was value="{value}">' if is_on and not is_required else ""
    label = f"{name}: {texts[channel]}" + (f" ({texts['required']})" if is_required else "")
    box = f'<input type=checkbox class=switch name=on value="{value}" aria-label="{label}"{state}>'
    has_digest = channel == "email" and type != ALL_TYPES and not is_required  # no digest applies to required e-mails
    often = _frequencies(name, type, layers, texts) if has_digest else ""
    return f"<div class=cell>{box}{was}{often}</div>"


def _frequencies(name: str, type: str, layers: Layers, texts: Mapping[str, str]) -> str:
    chosen = next((found for _, one in layers.documents() if (found := one.digest.get(type)) is not None), "instant")
    options = "".join(
        f"<option value={value}{' selected' if value == chosen else ''}>{texts[value]}" for value in FREQUENCIES
    )
    return f'<select name="{_digest(type)}" aria-label="{name}: {texts["often"]}">{options}</select>{_was(_digest(type), chosen)}'


def _mute(recipient: Preferences, now: int, zone: ZoneInfo) -> tuple[bool, str]:
    """Return whether everything is muted, and until when; empty if until the recipient turns it off."""
    is_muted, until = decision.is_muted(recipient, EVERY_TYPE, now), recipient.muted.get(EVERY_TYPE, True)
    if not is_muted or until is True:
        return is_muted, ""
    return True, local_times.describe(times.milliseconds(until), zone)


def _switch_box(name: str, *, is_on: bool) -> str:
    return f"<input type=checkbox class=switch name={name}{_checked(is_on=is_on)}>{_was(name, 'on') if is_on else ''}"


def _time(name: str, value: str) -> str:
    return f'<input type=time name={name} value="{escape(value)}" required>{_was(name, value)}'


def _was(name: str, value: str) -> str:
    """Return a field with the displayed value of another field."""
    return f'<input type=hidden name="was_{escape(name)}" value="{escape(value)}">'


def _checked(*, is_on: bool) -> str:
    return " checked" if is_on else ""
