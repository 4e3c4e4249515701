import errno
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripts import reference

from bellcast import settings
from bellcast.auth import tokens
from bellcast.auth.permissions import AccessConfig
from bellcast.channels.types import ChannelConfig
from bellcast.cli import remote
from bellcast.cli.output import CommandError
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.socketio import SocketIOConfig
from bellcast.operators.types import OidcConfig
from bellcast.settings import credentials, parsers, table
from bellcast.settings.table import ClientSettings, ServerSettings, Settings, StoreSettings

CREDENTIALS = "7:public-key:the secret: with a colon"


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load({}, environ)
    return caught.value.detail


# --- sources


def test_empty_environment_yields_the_defaults() -> None:
    assert settings.load({}, {}) == Settings(
        server=ServerSettings(
            host="127.0.0.1",
            port=8787,
            workers=1,
            drain=10,
            keep_alive=5,
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
    )


def test_flag_overrides_variable_and_variable_overrides_file(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("3\n")
    environ = {"BELLCAST_PORT": "2", "BELLCAST_PORT_FILE": str(file)}
    assert settings.load({"port": 1}, environ).server.port == 1
    assert settings.load({"port": None}, environ).server.port == 2
    del environ["BELLCAST_PORT"]
    assert settings.load({}, environ).server.port == 3


def test_empty_variable_counts_as_unset_except_for_a_list() -> None:
    environ = {"BELLCAST_PORT": "", "BELLCAST_STORE": " ", "BELLCAST_PRESENCE_TOPICS": "", "BELLCAST_SECRET_FILE": ""}
    loaded = settings.load({}, environ)
    assert (loaded.server.port, loaded.store.url, loaded.access.presence_topics) == (8787, None, ())


def test_flags_are_accepted_as_the_command_line_parses_them() -> None:
    flags = {"data": Path("here"), "no_jobs": True, "public_topics": ["a", "b"], "limit_key": 9, "heartbeat": 2.5}
    loaded = settings.load(flags, {})
    assert loaded.store.data == Path("here")
    assert loaded.server.no_jobs is True
    assert loaded.access.public_topics == ("a", "b")
    assert (loaded.limits.key, loaded.server.heartbeat) == (9, 2.5)
    assert settings.load({"no_jobs": False}, {"BELLCAST_NO_JOBS": "on"}).server.no_jobs is False


def test_unrelated_variables_are_ignored() -> None:
    assert settings.load({}, {"PATH": "/bin", "PORT": "x", "bellcast_port": "x"}) == Settings()


# --- values


@pytest.mark.parametrize(
    ("name", "text", "place", "value"),
    [
        ("HOST", "0.0.0.0", "server.host", "0.0.0.0"),
        ("PORT", "0", "server.port", 0),
        ("DRAIN", "300ms", "server.drain", 0.3),
        ("KEEP_ALIVE", "2m", "server.keep_alive", 120),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", "server.trusted_proxies", ("10.0.0.0/8", "::1/128")),
        ("HANDLERS", "shop.bells:handlers", "server.handlers", "shop.bells:handlers"),
        ("WORKFLOWS", "shop.flows", "server.workflows", "shop.flows"),
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
        ("BROKER", "nats://n1,n2:4223,[::1]", "store.broker", "nats://n1,n2:4223,[::1]"),
        (
            "BROKER",
            "tls://u:p@n1/?creds=/a.creds&replicas=3&streams=9",
            "store.broker",
            "tls://u:p@n1/?creds=/a.creds&replicas=3&streams=9",
        ),
        (
            "STORE",
            "postgresql://bell:pw@a:5433,127.0.0.1:5434,b/bell?target_session_attrs=read-write",
            "store.url",
            "postgresql://bell:pw@a:5433,127.0.0.1:5434,b/bell?target_session_attrs=read-write",
        ),
        ("RETENTION", "0", "store.retention", 0),
        ("TOMBSTONES", "2h", "store.tombstones", 7_200),
        ("NEWCOMERS", "0", "store.newcomers", 0),
        ("PROJECT", CREDENTIALS, "project", Project("7", "public-key", "the secret: with a colon")),
        ("URL", "http://bell.example", "client.url", "http://bell.example"),
        ("SECRET", "s", "client.secret", "s"),
        ("JWKS_ISSUER", "https://id.example", "access.jwks_issuer", "https://id.example"),
        ("ORIGINS", "https://A.example:443,http://b", "access.origins", ("https://a.example", "http://b")),
        ("PUBLIC_TOPICS", "news.*, ,lobby", "access.public_topics", ("news.*", "lobby")),
        ("ANONYMOUS", "allow", "access.anonymous", True),
        ("ANONYMOUS", "deny", "access.anonymous", False),
        ("ANONYMOUS", "1", "access.anonymous", True),
        ("HEARTBEAT", "1m", "server.heartbeat", 60),
        ("LIMIT_BULK_ITEMS", "0", "limits.bulk_items", 0),
    ],
)
def test_setting_is_parsed(name: str, text: str, place: str, value: object) -> None:
    value_read: object = settings.load({}, {f"BELLCAST_{name}": text})
    for part in place.split("."):
        value_read = getattr(value_read, part)
    assert value_read == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("PORT", "http", "a port"),
        ("PORT", "65536", "a port"),
        ("PORT", "-1", "a port"),
        ("PORT", "8_0", "a port"),
        ("PORT", "²", "a port"),
        ("WORKERS", "0", "1 or more"),
        ("DRAIN", "soon", "a duration"),
        ("DRAIN", "9" * 400, "a duration"),
        ("HEARTBEAT", "0", "above 0"),
        ("TRUSTED_PROXIES", "proxy.example", "addresses and networks"),
        ("HANDLERS", "shop.bells", "module:name"),
        ("WORKFLOWS", "shop/flows.py", "module or module:name"),
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
        ("STORE", "postgresql://a:5433,b:0/bell", "postgresql://a:5433,b:0/bell"),
        ("BROKER", "redis://a:6379,b:6379", "redis://a:6379,b:6379"),
        ("STORE", "bell.db", "sqlite:///path"),
        ("STORE", "sqlite:///", "sqlite:///path"),
        ("BROKER", "amqp://localhost", "memory:"),
        ("BROKER", "redis://", "redis://host"),
        ("BROKER", "redis://not a host", "redis://host"),
        ("STORE", "postgresql://a..b/bell", "postgresql://"),
        ("APP_URL", "https://not a host", "an http or https URL"),
        ("APP_URL", "https://a.example/ b", "an http or https URL"),
        ("HANDLER_URL", "https://a.example:0/", "an http or https URL"),
        ("BROKER", "nats://", "nats://host"),
        ("BROKER", "nats://n1,", "nats://host"),
        ("BROKER", "nats://n1:0", "nats://host"),
        ("BROKER", "nats://n1/bells", "nats://host"),
        ("ORIGINS", "https://a.example/shop", "origins such as"),
        ("ORIGINS", "*", "origins such as"),
        ("LIMIT_KEY", "many", "a whole number"),
        ("LIMIT_REPLAY", "9" * 20, "a whole number"),
        ("TOPIC_HISTORY", "*=2m/3000000000", "a comma-separated list"),
    ],
)
def test_wrong_value_is_reported_with_the_expected_form(name: str, text: str, expected: str) -> None:
    message = refusal(**{f"BELLCAST_{name}": text})
    assert message.startswith(f"BELLCAST_{name}: expected ")
    assert expected in message
    assert repr(text) in message


@pytest.mark.parametrize("text", ["x", "a:b", "7:key:", ":key:secret", "7:a key:secret", "7:k:\udcff", "7::secret"])
def test_wrong_credentials_are_refused_without_being_repeated(text: str) -> None:
    assert refusal(BELLCAST_PROJECT=text) == "BELLCAST_PROJECT: expected id:key:secret of printable ASCII characters."


@pytest.mark.parametrize("text", ["naïve", "\udcff", "a\tb"])
def test_secret_that_no_header_can_carry_is_refused_without_being_repeated(text: str) -> None:
    assert refusal(BELLCAST_SECRET=text) == "BELLCAST_SECRET: expected a secret of printable ASCII characters."
    assert refusal(BELLCAST_PROJECT=f"7:key:{text}").startswith("BELLCAST_PROJECT: expected id:key:secret")


@pytest.mark.parametrize("name", ["STORE", "BROKER", "DATABASE_URL"])
def test_wrong_parameter_of_a_postgres_url_is_named_without_the_password(name: str) -> None:
    variable = f"BELLCAST_{name}"
    assert refusal(**{variable: "postgresql://bell:hush@db/bell?sslmode=requir"}) == (
        f"{variable}: expected a URL with sslmode disable, allow, prefer, require, verify-ca or verify-full, got 'requir'."
    )
    assert "target_session_attrs any" in refusal(**{variable: "postgres://db/bell?target_session_attrs="})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("replica=3", "creds, replicas and streams, got 'replica'"),
        ("replicas=2", "replicas 1 or 3, got '2'"),
        ("streams=many", "streams as a whole number, got 'many'"),
    ],
)
def test_wrong_parameter_of_a_nats_url_is_named_without_the_password(query: str, expected: str) -> None:
    assert (
        refusal(BELLCAST_BROKER=f"nats://bell:hush@n1?{query}") == f"BELLCAST_BROKER: expected a URL with {expected}."
    )


def test_wrong_flag_and_wrong_file_are_reported_by_their_source(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--limit-key: expected a whole number"):
        settings.load({"limit_key": "x"}, {})
    file = tmp_path / "port"
    file.write_text("x")
    assert refusal(BELLCAST_PORT_FILE=str(file)).startswith("BELLCAST_PORT_FILE: expected a port")


def test_unreadable_file_stops_the_start(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(BELLCAST_PROJECT_FILE=str(tmp_path / "missing"))
    assert "cannot be read" in refusal(BELLCAST_PROJECT_FILE=str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(BELLCAST_PROJECT_FILE=str(tmp_path / "binary"))


def test_every_claim_of_an_apps_tokens_is_named_by_its_setting() -> None:
    assert [meaning for meaning in sorted(tokens.MEANINGS) if meaning not in str(parsers.claims.__doc__)] == []


def test_unknown_setting_stops_the_start_and_suggests_the_nearest_name() -> None:
    assert "did you mean BELLCAST_PORT?" in refusal(BELLCAST_PROT="80")
    assert "did you mean BELLCAST_SECRET_FILE?" in refusal(BELLCAST_SECRETFILE="s")
    assert refusal(BELLCAST_QQQQQQQQ="my secret") == "BELLCAST_QQQQQQQQ: unknown setting."


def test_variables_of_a_kubernetes_service_are_refused_with_a_fix() -> None:
    port = {"BELLCAST_PORT": "tcp://10.0.0.1:80"}
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP", "PORT_80_TCP_ADDR"):
        assert "enableServiceLinks: false" in refusal(**port, **{f"BELLCAST_{name}": "10.0.0.1"})


def test_conflicting_settings_are_refused() -> None:
    assert "expected 1" in refusal(BELLCAST_WORKERS="2")
    both = refusal(BELLCAST_HANDLERS="a:b", BELLCAST_HANDLER_URL="https://shop.example")
    assert "got both" in both


# --- the project


def load(folder: Path, **environ: str) -> Settings:
    return settings.load({"data": folder / "data"}, {f"BELLCAST_{name}": value for name, value in environ.items()})


def test_provided_credentials_are_used_and_not_stored(tmp_path: Path) -> None:
    loaded, is_new = settings.project(load(tmp_path, PROJECT=CREDENTIALS))
    assert (loaded.id, loaded.key, loaded.secret, is_new) == ("7", "public-key", "the secret: with a colon", False)
    assert list(tmp_path.iterdir()) == []


def test_first_start_creates_credentials_and_the_next_reads_them(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    first, is_new = settings.project(loaded)
    assert is_new
    assert first.id.isdigit()
    assert len(first.key) == 20
    assert len(first.secret) >= 40
    assert settings.project(loaded) == (first, False)
    assert settings.project(load(tmp_path / "other"))[0].secret != first.secret


def test_concurrent_first_starts_use_the_same_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(tmp_path)
    others: list[tuple[Project, bool]] = []
    write = credentials.write_private

    def write_after_another_start(*args: Any, **kwargs: Any) -> bool:
        monkeypatch.setattr(credentials, "write_private", write)
        others.append(settings.project(loaded))
        return write(*args, **kwargs)

    monkeypatch.setattr(credentials, "write_private", write_after_another_start)
    late = settings.project(loaded)
    assert others == [(late[0], True)]
    assert not late[1]
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["project.json"]


@pytest.mark.parametrize(
    ("stored", "url"),
    [
        ({"url": "http://127.0.0.1:9000", "pid": 7}, "http://127.0.0.1:9000"),  # of a later version
        ({"url": None}, None),
        ({}, None),
    ],
)
def test_stored_url_is_read_from_a_file_that_may_have_other_fields(
    tmp_path: Path, stored: dict[str, object], url: str | None
) -> None:
    loaded = load(tmp_path)
    credentials.write_private(loaded.store.data / "server.json", stored)
    assert credentials.stored_url(loaded) == url


def test_file_that_cannot_be_written_leaves_no_part_of_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match="No space left"):
        credentials.write_private(tmp_path / "project.json", {"secret": "s"})
    assert list(tmp_path.iterdir()) == []


def test_stored_credentials_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        settings.project(load(tmp_path))
    finally:
        os.umask(mask)
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["project.json"]
    assert stat.S_IMODE((tmp_path / "data" / "project.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "stored", ["", "{}", "[]", '{"id":"7","key":"k","secret":""}', '{"id":7,"key":"k","secret":"s"}']
)
def test_broken_credentials_are_reported_and_never_replaced(tmp_path: Path, stored: str) -> None:
    file = tmp_path / "data" / "project.json"
    file.parent.mkdir()
    file.write_text(stored)
    with pytest.raises(SettingsError, match=r"project\.json"):
        settings.project(load(tmp_path))
    assert file.read_text() == stored


def test_unwritable_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="BELLCAST_DATA"):
        settings.project(load(tmp_path))


def test_commands_read_the_stored_secret_and_create_none(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no secret"):
        remote.credentials(load(tmp_path))
    assert list(tmp_path.iterdir()) == []
    stored, _ = settings.project(load(tmp_path))
    assert remote.credentials(load(tmp_path)).secret == stored.secret
    assert remote.credentials(load(tmp_path, PROJECT=CREDENTIALS)).secret == "the secret: with a colon"
    assert remote.credentials(load(tmp_path, PROJECT=CREDENTIALS, SECRET="other")).secret == "other"


# --- display


def test_displayed_settings_contain_no_secret(tmp_path: Path) -> None:
    secret = "the-very-secret"
    loaded = load(
        tmp_path, PROJECT=f"7:key:{secret}", SECRET=secret, JWKS_URL=f"https://me:{secret}@id.example:8/keys?a=b"
    )
    displayed = settings.as_displayed(loaded)
    assert displayed["BELLCAST_PROJECT"] == "7:key:…"
    assert displayed["BELLCAST_SECRET"] == "…"
    assert displayed["BELLCAST_JWKS_URL"] == "https://me:…@id.example:8/keys?a=b"
    project, _ = settings.project(load(tmp_path))
    for text in (
        str(displayed),
        repr(loaded.project),
        repr(loaded.client),
        repr(project),
        repr(list(project.__rich_repr__())),
    ):
        assert secret not in text
        assert str(project.secret) not in text


def test_displayed_settings_can_be_loaded_again() -> None:
    environ = {
        "BELLCAST_DRAIN": "300ms",
        "BELLCAST_RETENTION": "90d",
        "BELLCAST_PUBLIC_TOPICS": "a,b",
        "BELLCAST_ANONYMOUS": "allow",
        "BELLCAST_NO_JOBS": "on",
        "BELLCAST_HANDLER_URL": "https://shop.example",
        "BELLCAST_TRUSTED_PROXIES": "10.0.0.0/8",
    }
    loaded = settings.load({}, environ)
    displayed = settings.as_displayed(loaded)
    assert displayed["BELLCAST_RETENTION"] == "90d"
    assert displayed["BELLCAST_DRAIN"] == "0.3"
    again = settings.load({}, displayed)
    assert msgspec.structs.replace(again, sources={}) == msgspec.structs.replace(loaded, sources={})
    defaults = settings.load({}, settings.as_displayed(Settings()))
    assert msgspec.structs.replace(defaults, sources={}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "displayed"),
    [
        ("STORE", "postgresql://bell:hush@db/bell", "postgresql://bell:…@db/bell"),
        ("STORE", "postgresql://a@b:hush@db:5433/bell", "postgresql://a@b:…@db:5433/bell"),
        ("STORE", "postgresql://bell:hush@a:5433,b:5434/bell", "postgresql://bell:…@a:5433,b:5434/bell"),
        (
            "STORE",
            "postgresql://bell@db/bell?sslmode=require&password=hush&sslpassword=hush&passfile=/hush",
            "postgresql://bell@db/bell?sslmode=require&password=…&sslpassword=…&passfile=…",
        ),
        ("DATABASE_URL", "postgresql:///app?p%61ssword=hush&a=b", "postgresql:///app?p%61ssword=…&a=b"),
        ("BROKER", "redis://:hush@cache?PASSWORD=hush", "redis://:…@cache?PASSWORD=…"),
        ("BROKER", "redis://cache:6380/1?protocol=3", "redis://cache:6380/1?protocol=3"),
        ("BROKER", "nats://bell:hush@n1,n2", "nats://bell:…@n1,n2"),
        ("BROKER", "nats://hush@n1?replicas=3", "nats://…@n1?replicas=3"),
    ],
)
def test_passwords_in_urls_are_masked(name: str, text: str, displayed: str) -> None:
    variable = f"BELLCAST_{name}"
    assert settings.as_displayed(settings.load({}, {variable: text}))[variable] == displayed


@pytest.mark.parametrize(
    "text",
    [
        "mariadb://bell:hush@db",
        "mysql://db/bell?password=hush",
        "mysql://db/bell?p%61ssword=hush",
        "host=db user=bell password=hush",
        "postgresql://db:port/bell?sslpassword=hush&passfile=/hush",
    ],
)
def test_invalid_url_is_refused_without_repeating_its_password(text: str) -> None:
    assert "hush" not in refusal(BELLCAST_STORE=text)
    assert "hush" not in refusal(BELLCAST_BROKER=text)


# --- the table


def test_every_setting_has_one_table_row_with_a_description() -> None:
    groups = {
        "server": ServerSettings,
        "store": StoreSettings,
        "client": ClientSettings,
        "access": AccessConfig,
        "limits": Limits,
        "channels": ChannelConfig,
    }
    groups |= {"oidc": OidcConfig, "pusher": PusherConfig, "socketio": SocketIOConfig}
    places = [f"{name}.{field.name}" for name, group in groups.items() for field in msgspec.structs.fields(group)]
    assert sorted(setting.place for setting in table.TABLE) == sorted([*places, "project", "second_secret"])
    assert len({setting.name for setting in table.TABLE}) == len(table.TABLE)
    for setting in table.TABLE:
        assert setting.description.endswith(".")
        assert setting.expects


def test_reference_page_matches_the_table() -> None:
    page = reference.FOLDER / "settings.md"
    assert page.read_text(encoding="utf-8") == reference.settings_page(), "run: make docs"


OIDC = {
    "BELLCAST_OIDC_ISSUER": "https://id.example",
    "BELLCAST_OIDC_CLIENT_ID": "bell",
    "BELLCAST_OIDC_ROLE_MAP": "/a=b=owner, staff = viewer,*=support",
}


def test_roles_of_an_identity_provider_follow_the_groups() -> None:
    oidc = settings.load({}, OIDC).oidc
    assert [oidc.role_of(groups) for groups in (["/a=b", "staff"], ["staff"], ["other"], [])] == [
        "owner",
        "support",
        "support",
        "support",
    ]
    assert OidcConfig(role_map=("staff=viewer",)).role_of(["other"]) is None


@pytest.mark.parametrize("missing", ["BELLCAST_OIDC_CLIENT_ID", "BELLCAST_OIDC_ROLE_MAP"])
def test_identity_provider_needs_a_client_and_roles(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        settings.load({}, {name: value for name, value in OIDC.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ROLE_MAP", value) for value in ("staff", "staff=admin", "=owner")),
        *(("ISSUER", value) for value in ("id.example", "https://id.example?a=b", "file:///etc/passwd")),
        ("SCOPES", "profile,email"),
    ],
)
def test_wrong_settings_of_an_identity_provider_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"BELLCAST_OIDC_{name}: expected"):
        settings.load({}, OIDC | {f"BELLCAST_OIDC_{name}": value})


def test_allowed_hosts_are_names_addresses_and_networks() -> None:
    value = "localhost, CRM.internal., my_service, 10.0.0.5, 10.0.0.0/8, 10.0.0.1/8, ::1/128"
    assert len(settings.load({}, {"BELLCAST_HTTP_ALLOW": value}).channels.http_allow) == 7


@pytest.mark.parametrize(
    "value", ["http://crm", "crm:8080", "*.internal", "10.0.0.0/33", "10.0.0.300", "127.1", "[::1]", "a b", "crm/24"]
)
def test_entry_that_allows_no_host_is_refused(value: str) -> None:
    assert refusal(BELLCAST_HTTP_ALLOW=f"localhost,{value}").startswith("BELLCAST_HTTP_ALLOW: expected")


@pytest.mark.parametrize("name", ["SMS", "PUSH", "CHAT"])
def test_format_of_a_list_of_providers_names_no_mail_server(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings.load({}, {f"BELLCAST_{name}": "vonage"})
    assert "smtp" not in refused.value.detail
