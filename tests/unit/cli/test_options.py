"""Settings are command line options with the table's descriptions; secrets are not."""

import json

import pytest
import typer
from typer.testing import CliRunner

from bellcast import cli
from bellcast.cli import options, output, serve
from bellcast.settings import table

root = typer.main.get_command(cli.app)
root.list_commands(None)  # imports all


def params(*path: str):
    """The options of a command by their flags."""
    command = root
    for name in path:
        command = command.commands[name]
    parameters = command.get_params(typer.Context(command))
    return {option: param for param in parameters if param.param_type_name == "option" for option in param.opts}


def test_serve_accepts_every_server_setting():
    settings = [setting for group in options.panels(*serve.GROUPS) for setting in table.GROUPS[group]]
    expected = {setting.flag for setting in settings if not setting.is_secret}
    # A supervised server starts its workers with `--as-worker`; the option is internal and hidden.
    assert params("serve").keys() == expected | {"--help", "--help-all", "--as-worker", "--test-clock"}
    assert params("serve")["--as-worker"].hidden
    assert options.panels(*serve.GROUPS).keys() == table.GROUPS.keys() - {"project", "client"}


def test_every_group_of_settings_has_a_title():
    assert options.panels(*table.GROUPS).keys() == table.GROUPS.keys()


def test_secrets_are_not_command_line_options():
    secret = {setting.flag for setting in table.TABLE if setting.is_secret}
    channels = {"--email", "--sms", "--push", "--chat"}
    assert secret == {
        *channels,
        "--encryption-key",
        "--jwt-secret",
        "--oidc-client-secret",
        "--project",
        "--second-secret",
        "--secret",
    }
    for name, command in root.commands.items():
        for path in [(name, inner) for inner in getattr(command, "commands", {})] or [(name,)]:
            assert not secret & params(*path).keys()


def test_option_help_names_its_variable_and_default():
    port = params("serve")["--port"]
    assert port.help.startswith("Port to listen on.")
    assert "BELLCAST_PORT" in port.help
    assert "default: 8787" in port.help
    assert port.metavar == "PORT"


def test_limit_options_are_accepted_but_hidden_from_help():
    options_of_serve = params("serve")
    assert options_of_serve["--limit-title"].hidden
    assert not options_of_serve["--port"].hidden


def test_options_reach_the_settings_and_commands_see_their_own_options_only():
    seen = []
    app = typer.Typer()

    @app.command(cls=options.with_settings("PORT", "NO_JOBS", "DATA"))
    def command(ctx: typer.Context, own: str = "") -> None:
        seen.append((own, options.flags(ctx), options.settings(ctx).server))

    app(["--port", "80", "--no-jobs", "--own", "word"], standalone_mode=False)
    ((own, flags, server),) = seen
    assert own == "word"
    assert flags == {"port": "80", "no_jobs": True, "data": None}
    assert (server.port, server.no_jobs) == (80, True)


def test_every_command_has_a_one_sentence_description():
    for name, command in root.commands.items():
        assert command.help.endswith("."), name
        assert "\n" not in command.help.strip(), name


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_command_prints_its_result_as_json_or_what_it_did(flags):
    app = typer.Typer()

    @options.command(app, cls=options.CliCommand)
    def count(ctx, number: int = 2):
        yield {"counted": number}
        output.show([f"Counted {number}"])

    printed = CliRunner().invoke(app, ["--number", "3", *flags]).output
    assert json.loads(printed) == {"counted": 3} if flags else printed == "Counted 3\n"


def test_client_of_a_command_is_created_when_it_is_used():
    app = typer.Typer()

    @options.command(app)
    def check(client, number: int = 2):
        if number > 2:
            raise typer.BadParameter("expected 2 at most")
        client.stats()

    # Nothing names a server or a secret.
    wrong = CliRunner(env={"BELLCAST_DATA": "/nonexistent"}).invoke(app, ["--number", "3"])
    assert wrong.exit_code == 2
    assert "expected 2 at most" in wrong.output
