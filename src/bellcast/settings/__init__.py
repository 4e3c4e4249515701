"""Settings: typed, frozen, read once at start; the only reader of the environment.

The value of a setting is its flag, else `BELLCAST_<NAME>`, else the content of the file named by
`BELLCAST_<NAME>_FILE`, else its default. An invalid setting stops the start with an error that names it."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bellcast.kernel import setting_values
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.settings import parsers
from bellcast.settings.credentials import existing_project, project, url
from bellcast.settings.parsers import MASK, MEMORY
from bellcast.settings.table import DEFAULTS, GROUPS, PREFIX, TABLE, Setting, Settings

__all__ = ["Settings", "as_displayed", "as_text", "existing_project", "load", "project", "url", "variable"]

# Variables that Kubernetes sets in pods for a Service named `bellcast`.
KUBERNETES_SERVICE = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?")
USER_PASSWORD = re.compile(r"(?<=://)([^/?#:]*:)[^/?#]*(?=@)")
NATS_TOKEN = re.compile(r"^((?:nats|tls)://)[^/?#:@]+(?=@)")
# Variables that are no settings: secrets of the servers in bellcast.yaml, and URLs of providers.
NAMED_SECRET = re.compile(r"(SECRET|PROVIDER)_[A-Z0-9_]+")
QUERY_PARAMETER = re.compile(r"([?&]([^?&=]*))=[^&]*")
PASSWORD_PARAMETERS = frozenset({"password", "sslpassword", "passfile"})  # of libpq, asyncpg and redis-py

# The source of a value (flag, variable or file variable), and its text.
SettingSource = tuple[str, str]


def load(flags: Mapping[str, object | None], environ: Mapping[str, str] = os.environ) -> Settings:
    """Load the settings from flags and environment. Flags are named in lower case; None means absent. Raises
    SettingsError."""
    _refuse_unknown(environ)
    given: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    used: dict[str, str] = {}
    for setting in TABLE:
        # The first source that has a value counts. Except for lists, an empty text is absent.
        sources = [one for one in _sources(setting, flags.get(setting.key), environ) if one[1] or setting.is_list]
        if not sources:
            continue
        source, raw = sources[0]
        try:
            value = setting.parse(raw)
        except SettingsError as error:
            raise SettingsError(f"{source}: {error}") from None
        except (ValueError, KeyError):
            may_hold_password = "@" in raw or any(name in unquote(raw).lower() for name in PASSWORD_PARAMETERS)
            got = "" if setting.is_secret or may_hold_password else f", got {raw!r}"
            raise SettingsError(f"{source}: expected {setting.expects}{got}.") from None
        group, _, field = setting.place.rpartition(".")
        given[group or "project"][field] = value
        used[setting.variable] = source
    project = given.pop("project")
    groups: dict[str, Any] = {name: type(DEFAULTS.group(name))(**fields) for name, fields in given.items()}
    dialects = {name: groups.pop(name) for name in DEFAULTS.dialects}
    settings = Settings(**project, **groups, dialects=dialects, sources=used)
    if settings.server.workers > 1 and (settings.store.is_file or settings.store.broker == MEMORY):
        raise SettingsError(
            "BELLCAST_WORKERS: expected 1, since a SQLite store and the memory broker serve one process."
            " For several, set BELLCAST_STORE=postgresql://… and BELLCAST_BROKER=redis://…, nats://… or postgresql://…"
        )
    if settings.server.handlers and settings.server.handler_url:
        raise SettingsError("BELLCAST_HANDLERS: expected either this or BELLCAST_HANDLER_URL, got both.")
    for field in ("client_id", "role_map"):
        if settings.oidc.issuer is not None and not getattr(settings.oidc, field):
            raise SettingsError(
                f"BELLCAST_OIDC_{field.upper()}: expected a value, because BELLCAST_OIDC_ISSUER is set."
            )
    return settings


def variable(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return a variable that is no setting, such as the secret of an environment or the URL of a provider; or the content
    of the file that NAME_FILE names. None if neither is set."""
    text = environ.get(name, "").strip()
    return text or (_content(f"{name}_FILE", environ)[1] if environ.get(f"{name}_FILE") else None)


def as_displayed(settings: Settings) -> dict[str, str]:
    """Return all settings in effect by variable, in the syntax that `load` accepts, with secrets masked."""
    return {setting.variable: as_text(setting, settings.value_at(setting.place)) for setting in TABLE}


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    names = [name for setting in TABLE for name in (setting.name, f"{setting.name}_FILE")]
    used = [name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX)]
    for name in used:
        if name not in names and not NAMED_SECRET.fullmatch(name):
            if KUBERNETES_SERVICE.fullmatch(name):
                raise SettingsError(
                    f"{PREFIX}{name}: unknown setting. Kubernetes sets it for a Service named bellcast: set "
                    "enableServiceLinks: false in the pod's spec, or rename the Service."
                )
            suggestions = [f"; did you mean {PREFIX}{match}?" for match in difflib.get_close_matches(name, names, n=1)]
            raise SettingsError(f"{PREFIX}{name}: unknown setting{''.join(suggestions) or '.'}")


def _sources(setting: Setting, flag: object | None, environ: Mapping[str, str]) -> Iterator[SettingSource]:
    if flag is not None:
        text = ",".join(map(str, flag)) if isinstance(flag, list | tuple) else str(flag)
        yield setting.flag, ("on" if flag else "off") if isinstance(flag, bool) else text
    if setting.variable in environ:
        yield setting.variable, environ[setting.variable].strip()
    if environ.get(f"{setting.variable}_FILE"):
        yield _content(f"{setting.variable}_FILE", environ)


def _content(variable: str, environ: Mapping[str, str]) -> SettingSource:
    try:
        return variable, Path(environ[variable]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable}: the file cannot be read: {error}.") from None


def as_text(setting: Setting, value: Any) -> str:
    """Return the value in the syntax that `load` accepts, masked if it is a secret."""
    if isinstance(value, Project):
        return f"{value.id}:{value.key}:{MASK}"
    if value is None:
        return ""
    if setting.is_secret:
        return MASK if value else ""
    if isinstance(value, bool):
        yes, no = ("allow", "deny") if setting.parse is parsers.allow_deny else ("on", "off")
        return yes if value else no
    if isinstance(value, float):
        return _duration(value)
    if setting.parse in (setting_values.url, parsers.landing, parsers.store, parsers.broker, parsers.database):
        # Mask the passwords of a URL: of its user, and in its query.
        address = NATS_TOKEN.sub(rf"\1{MASK}", USER_PASSWORD.sub(rf"\1{MASK}", value, count=1))
        return QUERY_PARAMETER.sub(
            lambda one: f"{one[1]}={MASK}" if unquote(one[2]).lower() in PASSWORD_PARAMETERS else one[0], address
        )
    if isinstance(value, tuple):
        return ",".join(_duration(one) if isinstance(one, float) else one for one in value)
    return str(value)


def _duration(seconds: float) -> str:
    return f"{seconds / 86_400:.0f}d" if seconds and seconds % 86_400 == 0 else f"{seconds:g}"
