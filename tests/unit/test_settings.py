import os
import stat
from pathlib import Path

import msgspec
import pytest
from scripts import reference

from bellcast import settings
from bellcast.auth.access_config import AccessConfig
from bellcast.errors import SettingsError
from bellcast.live.config import SocketIOConfig
from bellcast.model.identities import Project
from bellcast.model.limits import Limits
from bellcast.model.pusher import PusherConfig
from bellcast.settings import table
from bellcast.settings.groups import ClientSettings, NativeSettings, ServerSettings, Settings, StoreSettings

GIVEN = "7:public-key:the secret: with a colon"


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load({}, environ)
    return caught.value.detail


# --- where a value comes from


def test_with_nothing_said_everything_has_its_default() -> None:
    assert settings.load({}, {}) == Settings(
        server=ServerSettings(
            host="127.0.0.1",
            port=8787,
            workers=1,
            drain=10,
            trusted_proxies=(),
            handlers=None,
            handler_url=None,
            no_jobs=False,
            log_level="info",
            log_format="console",
        ),
        store=StoreSettings(
            data=Path("bellcast-data"), url=None, broker="memory:", retention=180 * 86_400, tombstones=30 * 86_400
        ),
        project=None,
        client=ClientSettings(url=None, secret=None),
        access=AccessConfig(presence_topics=("presence-*",), anonymous=False),
        limits=Limits(),
        native=NativeSettings(heartbeat=25),
    )


def test_the_flag_wins_over_the_variable_and_the_variable_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("3\n")
    environ = {"BELLCAST_PORT": "2", "BELLCAST_PORT_FILE": str(file)}
    assert settings.load({"port": 1}, environ).server.port == 1
    assert settings.load({"port": None}, environ).server.port == 2
    del environ["BELLCAST_PORT"]
    assert settings.load({}, environ).server.port == 3


def test_an_empty_variable_counts_as_not_given_except_for_a_list() -> None:
    environ = {"BELLCAST_PORT": "", "BELLCAST_STORE": " ", "BELLCAST_PRESENCE_TOPICS": "", "BELLCAST_SECRET_FILE": ""}
    given = settings.load({}, environ)
    assert (given.server.port, given.store.url, given.access.presence_topics) == (8787, None, ())


def test_flags_come_as_whatever_the_command_line_makes_of_them() -> None:
    flags = {"data": Path("here"), "no_jobs": True, "public_topics": ["a", "b"], "limit_key": 9, "heartbeat": 2.5}
    given = settings.load(flags, {})
    assert given.store.data == Path("here")
    assert given.server.no_jobs is True
    assert given.access.public_topics == ("a", "b")
    assert (given.limits.key, given.native.heartbeat) == (9, 2.5)
    assert settings.load({"no_jobs": False}, {"BELLCAST_NO_JOBS": "on"}).server.no_jobs is False


def test_other_programs_variables_are_left_alone() -> None:
    assert settings.load({}, {"PATH": "/bin", "PORT": "x", "bellcast_port": "x"}) == Settings()


# --- what a value must be


@pytest.mark.parametrize(
    ("name", "given", "place", "value"),
    [
        ("HOST", "0.0.0.0", "server.host", "0.0.0.0"),
        ("PORT", "0", "server.port", 0),
        ("DRAIN", "300ms", "server.drain", 0.3),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", "server.trusted_proxies", ("10.0.0.0/8", "::1/128")),
        ("HANDLERS", "shop.bells:handlers", "server.handlers", "shop.bells:handlers"),
        ("HANDLER_URL", "https://shop.example/bell", "server.handler_url", "https://shop.example/bell"),
        ("NO_JOBS", "ON", "server.no_jobs", True),
        ("LOG_LEVEL", "DEBUG", "server.log_level", "debug"),
        ("LOG_FORMAT", "json", "server.log_format", "json"),
        ("STORE", "sqlite:////var/bell.db", "store.path", Path("/var/bell.db")),
        ("STORE", "sqlite:///bell.db", "store.path", Path("bell.db")),
        ("DATA", "/var/bell", "store.path", Path("/var/bell/bellcast.db")),
        ("BROKER", "memory:", "store.broker", "memory:"),
        ("STORE", "postgresql://bell:pw@db:5433/bell", "store.url", "postgresql://bell:pw@db:5433/bell"),
        ("BROKER", "redis://localhost", "store.broker", "redis://localhost"),
        ("BROKER", "rediss://:pw@cache:6380/1", "store.broker", "rediss://:pw@cache:6380/1"),
        ("BROKER", "postgresql://db/bell", "store.broker", "postgresql://db/bell"),
        ("RETENTION", "0", "store.retention", 0),
        ("TOMBSTONES", "2h", "store.tombstones", 7_200),
        ("PROJECT", GIVEN, "project", Project("7", "public-key", "the secret: with a colon")),
        ("URL", "http://bell.example", "client.url", "http://bell.example"),
        ("SECRET", "s", "client.secret", "s"),
        ("JWKS_ISSUER", "https://id.example", "access.jwks_issuer", "https://id.example"),
        ("ORIGINS", "https://A.example:443,http://b", "access.origins", ("https://a.example", "http://b")),
        ("PUBLIC_TOPICS", "news.*, ,lobby", "access.public_topics", ("news.*", "lobby")),
        ("ANONYMOUS", "allow", "access.anonymous", True),
        ("ANONYMOUS", "deny", "access.anonymous", False),
        ("ANONYMOUS", "1", "access.anonymous", True),
        ("HEARTBEAT", "1m", "native.heartbeat", 60),
        ("LIMIT_BULK_ITEMS", "0", "limits.bulk_items", 0),
    ],
)
def test_what_is_given_is_read(name: str, given: str, place: str, value: object) -> None:
    found: object = settings.load({}, {f"BELLCAST_{name}": given})
    for part in place.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("PORT", "http", "a port"),
        ("PORT", "65536", "a port"),
        ("PORT", "-1", "a port"),
        ("PORT", "8_0", "a port"),
        ("PORT", "²", "a port"),
        ("WORKERS", "0", "1 or more"),
        ("DRAIN", "soon", "a duration"),
        ("DRAIN", "9" * 400, "a duration"),
        ("HEARTBEAT", "0", "longer than none"),
        ("TRUSTED_PROXIES", "proxy.example", "addresses and networks"),
        ("HANDLERS", "shop.bells", "module:name"),
        ("HANDLERS", "shop/bells.py:handlers", "module:name"),
        ("HANDLER_URL", "shop.example", "an http or https URL"),
        ("HANDLER_URL", "ftp://shop.example", "an http or https URL"),
        ("HANDLER_URL", "https://", "an http or https URL"),
        ("HANDLER_URL", "https://shop.example:port", "an http or https URL"),
        ("NO_JOBS", "yes", "on, off"),
        ("ANONYMOUS", "maybe", "allow or deny"),
        ("NO_JOBS", "allow", "on, off"),
        ("LOG_LEVEL", "loud", "debug, info"),
        ("LOG_FORMAT", "xml", "console or json"),
        ("STORE", "mysql://db/bell", "sqlite:///path"),
        ("STORE", "postgresql://", "postgresql://"),
        ("STORE", "bell.db", "sqlite:///path"),
        ("STORE", "sqlite:///", "sqlite:///path"),
        ("BROKER", "amqp://localhost", "memory:"),
        ("BROKER", "redis://", "redis://host"),
        ("ORIGINS", "https://a.example/shop", "origins such as"),
        ("ORIGINS", "*", "origins such as"),
        ("LIMIT_KEY", "many", "a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(name: str, given: str, expected: str) -> None:
    said = refusal(**{f"BELLCAST_{name}": given})
    assert said.startswith(f"BELLCAST_{name}: expected ")
    assert expected in said
    assert repr(given) in said


@pytest.mark.parametrize("given", ["x", "a:b", "7:key:", ":key:secret", "7:a key:secret", "7:k:\udcff", "7::secret"])
def test_wrong_credentials_are_refused_without_being_told(given: str) -> None:
    assert refusal(BELLCAST_PROJECT=given) == "BELLCAST_PROJECT: expected id:key:secret."


def test_a_wrong_flag_and_a_wrong_file_are_named_as_they_were_given(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--limit-key: expected a whole number"):
        settings.load({"limit_key": "x"}, {})
    file = tmp_path / "port"
    file.write_text("x")
    assert refusal(BELLCAST_PORT_FILE=str(file)).startswith("BELLCAST_PORT_FILE: expected a port")


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(BELLCAST_PROJECT_FILE=str(tmp_path / "missing"))
    assert "cannot be read" in refusal(BELLCAST_PROJECT_FILE=str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(BELLCAST_PROJECT_FILE=str(tmp_path / "binary"))


def test_an_unknown_setting_stops_the_start_and_the_nearest_is_named() -> None:
    assert "did you mean BELLCAST_PORT?" in refusal(BELLCAST_PROT="80")
    assert "did you mean BELLCAST_SECRET_FILE?" in refusal(BELLCAST_SECRETFILE="s")
    assert refusal(BELLCAST_QQQQQQQQ="my secret") == "BELLCAST_QQQQQQQQ: there is no such setting."


def test_what_cannot_go_together_is_refused() -> None:
    assert "expected 1" in refusal(BELLCAST_WORKERS="2")
    both = refusal(BELLCAST_HANDLERS="a:b", BELLCAST_HANDLER_URL="https://shop.example")
    assert "got both" in both


# --- the project


def load(folder: Path, **environ: str) -> Settings:
    return settings.load({"data": folder / "data"}, {f"BELLCAST_{name}": value for name, value in environ.items()})


def test_given_credentials_are_used_and_nothing_is_kept(tmp_path: Path) -> None:
    given, made = settings.project(load(tmp_path, PROJECT=GIVEN))
    assert (given.id, given.key, given.secret, made) == ("7", "public-key", "the secret: with a colon", False)
    assert list(tmp_path.iterdir()) == []


def test_the_first_start_makes_credentials_and_the_next_finds_them(tmp_path: Path) -> None:
    given = load(tmp_path)
    first, made = settings.project(given)
    assert made
    assert first.id.isdigit()
    assert len(first.key) == 20
    assert len(first.secret) >= 40
    assert settings.project(given) == (first, False)
    assert settings.project(load(tmp_path / "other"))[0].secret != first.secret


def test_kept_credentials_are_the_owners_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        settings.project(load(tmp_path))
    finally:
        os.umask(mask)
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["project.json"]
    assert stat.S_IMODE((tmp_path / "data" / "project.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "kept", ["", "{}", "[]", '{"id":"7","key":"k","secret":""}', '{"id":7,"key":"k","secret":"s"}']
)
def test_broken_credentials_are_named_and_never_replaced(tmp_path: Path, kept: str) -> None:
    file = tmp_path / "data" / "project.json"
    file.parent.mkdir()
    file.write_text(kept)
    with pytest.raises(SettingsError, match=r"project\.json"):
        settings.project(load(tmp_path))
    assert file.read_text() == kept


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="BELLCAST_DATA"):
        settings.project(load(tmp_path))


def test_commands_find_the_secret_where_it_is_and_make_none(tmp_path: Path) -> None:
    assert settings.secret(load(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
    kept, _ = settings.project(load(tmp_path))
    assert settings.secret(load(tmp_path)) == kept.secret
    assert settings.secret(load(tmp_path, PROJECT=GIVEN)) == "the secret: with a colon"
    assert settings.secret(load(tmp_path, PROJECT=GIVEN, SECRET="other")) == "other"


# --- what is shown


def test_no_secret_shows(tmp_path: Path) -> None:
    secret = "the-very-secret"
    given = load(
        tmp_path, PROJECT=f"7:key:{secret}", SECRET=secret, JWKS_URL=f"https://me:{secret}@id.example:8/keys?a=b"
    )
    said = settings.as_displayed(given)
    assert said["BELLCAST_PROJECT"] == "7:key:…"
    assert said["BELLCAST_SECRET"] == "…"
    assert said["BELLCAST_JWKS_URL"] == "https://me:…@id.example:8/keys?a=b"
    project, _ = settings.project(load(tmp_path))
    for text in (
        str(said),
        repr(given.project),
        repr(given.client),
        repr(project),
        repr(list(project.__rich_repr__())),
    ):
        assert secret not in text
        assert str(project.secret) not in text


def test_what_is_shown_can_be_given_back() -> None:
    environ = {
        "BELLCAST_DRAIN": "300ms",
        "BELLCAST_RETENTION": "90d",
        "BELLCAST_PUBLIC_TOPICS": "a,b",
        "BELLCAST_ANONYMOUS": "allow",
        "BELLCAST_NO_JOBS": "on",
        "BELLCAST_HANDLER_URL": "https://shop.example",
        "BELLCAST_TRUSTED_PROXIES": "10.0.0.0/8",
    }
    given = settings.load({}, environ)
    said = settings.as_displayed(given)
    assert said["BELLCAST_RETENTION"] == "90d"
    assert said["BELLCAST_DRAIN"] == "0.3"
    assert settings.load({}, said) == given
    assert settings.load({}, settings.as_displayed(Settings())) == Settings()


# --- the table


def test_every_value_has_one_line_in_the_table_and_every_line_a_sentence() -> None:
    groups = {
        "server": ServerSettings,
        "store": StoreSettings,
        "client": ClientSettings,
        "access": AccessConfig,
        "limits": Limits,
        "native": NativeSettings,
    }
    groups |= {"pusher": PusherConfig, "socketio": SocketIOConfig}
    places = [f"{name}.{field.name}" for name, group in groups.items() for field in msgspec.structs.fields(group)]
    assert sorted(setting.place for setting in table.TABLE) == sorted([*places, "project"])
    assert len({setting.name for setting in table.TABLE}) == len(table.TABLE)
    for setting in table.TABLE:
        assert setting.what.endswith(".")
        assert setting.expects


def test_the_reference_page_is_what_the_table_says() -> None:
    page = reference.FOLDER / "settings.md"
    assert page.read_text(encoding="utf-8") == reference.settings_page(), "run: make docs"
