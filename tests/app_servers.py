"""The Bellcast server of example apps: one process on SQLite, or two workers on PostgreSQL and Redis."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path

from tests import engines
from tests.servers import ServerProcess

LISTS = ("BELLCAST_ORIGINS",)  # settings that the apps of a server extend
_databases = count(1)


def app_server(data: Path, environ: Mapping[str, str] | None = None, *, two_workers: bool) -> ServerProcess:
    """Create a server that is not started. With two workers, its database and its Redis survive its restarts; no other
    server of the run uses them."""
    if not two_workers:
        return ServerProcess(data, environ)
    redis = engines.RedisServer()
    redis.start()
    store = engines.postgres().create(f"example{next(_databases)}")
    engine_settings = {"BELLCAST_STORE": store, "BELLCAST_BROKER": redis.url}
    return ServerProcess(data, {**(environ or {}), **engine_settings}, "--workers", "2")


def configure(server: ServerProcess, settings: Mapping[str, str]) -> None:
    """Add the settings of an app before the start."""
    for name, value in settings.items():
        is_list = name in LISTS and name in server.environ
        server.environ[name] = f"{server.environ[name]},{value}" if is_list else value
