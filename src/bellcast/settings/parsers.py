"""From a text to a value. A reader's docstring is what it expects, in messages and in the reference; it raises
ValueError or KeyError at anything else."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from bellcast.auth import app_tokens, origins
from bellcast.model import times, topics
from bellcast.model.identities import Project
from bellcast.model.pusher import RECIPIENT
from bellcast.settings.groups import MEMORY, POSTGRES, REDIS, SQLITE, Secret

# A hundred years: what is longer is a slip of the hand, and times beyond the calendar cannot be kept.
LONGEST = 36_525 * 86_400
# The id and the key stand in addresses.
CREDENTIALS = re.compile(r"([A-Za-z0-9_-]+):([A-Za-z0-9_-]+):(.+)")


def text(given: str) -> str:
    """a text"""
    return given


def non_negative_int(given: str) -> int:
    """a whole number, 0 or more"""
    if not given.isascii() or not given.isdigit():
        raise ValueError(given)
    return int(given)


def port(given: str) -> int:
    """a port, 0 to 65535 (0: any free one)"""
    if non_negative_int(given) > 65_535:
        raise ValueError(given)
    return int(given)


def positive_int(given: str) -> int:
    """a whole number, 1 or more"""
    if non_negative_int(given) < 1:
        raise ValueError(given)
    return int(given)


def boolean(given: str) -> bool:
    """on, off, true, false, 1 or 0"""
    return {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}[given.lower()]


def allow_deny(given: str) -> bool:
    """allow or deny"""
    return boolean({"allow": "on", "deny": "off"}.get(given.lower(), given))


def duration(given: str) -> float:
    """a duration such as 25, 300ms, 2m, 1h or 7d"""
    seconds = times.seconds(given)
    if seconds > LONGEST:
        raise ValueError(given)
    return seconds


def positive_duration(given: str) -> float:
    """a duration longer than none, such as 25, 300ms or 2m"""
    if duration(given) == 0:
        raise ValueError(given)
    return duration(given)


def path(given: str) -> str:
    """a path that begins and ends with a slash, such as /socket.io/"""
    if not re.fullmatch(r"/([\w.~-]+/)+", given, re.ASCII):
        raise ValueError(given)
    return given


def file(given: str) -> Path:
    """a file that can be read"""
    if not Path(given).is_file():
        raise ValueError(given)
    return Path(given)


def names(given: str) -> tuple[str, ...]:
    """a list with commas between"""
    return tuple(name for name in map(str.strip, given.split(",")) if name)


def aliases(given: str) -> tuple[str, ...]:
    """a list of private channels with {recipient} in each, such as private-user.{recipient}, with commas between"""
    for pattern in names(given):
        if not topics.is_private(pattern) or pattern.count(RECIPIENT) != 1:
            raise ValueError(pattern)
    return names(given)


def claims(given: str) -> tuple[str, ...]:
    """a list such as recipient=userId,roles=role; also tenant, name, topics and publish"""
    app_tokens.mapping(names(given))
    return names(given)


def pages(given: str) -> tuple[str, ...]:
    """a list of origins such as https://app.example.com, with commas between"""
    return tuple(page(one) for one in names(given))


def networks(given: str) -> tuple[str, ...]:
    """a list of addresses and networks such as 10.0.0.0/8, with commas between"""
    return tuple(str(ipaddress.ip_network(network, strict=False)) for network in names(given))


def url(given: str) -> str:
    """an http or https URL"""
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(given)
    return given


def folder(given: str) -> Path:
    """a folder"""
    return Path(given).expanduser()


def store(given: str) -> str:
    """sqlite:///path (a fourth slash begins an absolute path) or postgresql://user:password@host/database"""
    if given.startswith(POSTGRES):
        return _server(given)
    if not given.startswith(SQLITE) or given == SQLITE:
        raise ValueError(given)
    return given


def database(given: str) -> str:
    """postgresql://user:password@host/database"""
    if not given.startswith(POSTGRES):
        raise ValueError(given)
    return _server(given)


def broker(given: str) -> str:
    """memory:, redis://host, rediss://host or postgresql://user:password@host/database"""
    return given if given == MEMORY else _server(given)


def _server(given: str) -> str:
    parts = urlsplit(given)
    if not given.startswith(POSTGRES + REDIS) or not (parts.netloc or parts.path) or parts.port == 0:
        raise ValueError(given)
    return given


def import_path(given: str) -> str:
    """module:name, such as shop.bells:handlers"""
    module, _, name = given.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{name}".split(".")):
        raise ValueError(given)
    return given


def credentials(given: str) -> Project:
    """id:key:secret"""
    match = CREDENTIALS.fullmatch(given)
    if match is None:
        raise ValueError(given)
    given.encode()  # what is not Unicode can sign nothing
    return Project(match[1], match[2], Secret(match[3]))


def log_level(given: str) -> str:
    """debug, info, warning or error"""
    return {name: name for name in ("debug", "info", "warning", "error")}[given.lower()]


def log_format(given: str) -> str:
    """console or json"""
    return {name: name for name in ("console", "json")}[given.lower()]


def page(given: str) -> str:
    """an origin such as https://app.example.com"""
    origin = origins.canonical(given)
    if origin is None:
        raise ValueError(given)
    return origin


def secret(given: str) -> Secret:
    """a secret"""
    return Secret(given)
