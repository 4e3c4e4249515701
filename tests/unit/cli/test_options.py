"""Settings as options: all of them, with the words of the table, and none of the secrets."""

import typer

from bellcast import cli
from bellcast.cli import options, serve
from bellcast.settings import table

root = typer.main.get_command(cli.app)


def params(*path: str):
    """The options of a command by how they are written."""
    command = root
    for name in path:
        command = command.commands[name]
    given = command.get_params(typer.Context(command))
    return {option: param for param in given if param.param_type_name == "option" for option in param.opts}


def test_serve_takes_every_setting_of_a_server():
    settings = [setting for group in serve.GROUPS for setting in table.GROUPS[group]]
    expected = {setting.flag for setting in settings if not setting.is_secret}
    # `--as-worker` is how a supervised server starts its workers; nobody types it, so nobody is shown it.
    assert params("serve").keys() == expected | {"--help", "--as-worker"}
    assert params("serve")["--as-worker"].hidden
    assert set(serve.GROUPS) == table.GROUPS.keys() - {"project", "client"}


def test_every_group_of_settings_has_a_title():
    assert options.PANELS.keys() == table.GROUPS.keys()


def test_no_secret_can_be_given_where_everybody_sees_the_process_list():
    secret = {setting.flag for setting in table.TABLE if setting.is_secret}
    assert secret == {"--jwt-secret", "--project", "--secret"}
    for name, command in root.commands.items():
        for path in [(name, inner) for inner in getattr(command, "commands", {})] or [(name,)]:
            assert not secret & params(*path).keys()


def test_an_option_tells_its_variable_and_its_default():
    port = params("serve")["--port"]
    assert port.help.startswith("Port to listen on.")
    assert "BELLCAST_PORT" in port.help
    assert "default: 8787" in port.help
    assert port.metavar == "PORT"


def test_limits_are_taken_but_do_not_crowd_the_help():
    taken = params("serve")
    assert taken["--limit-title"].hidden
    assert not taken["--port"].hidden


def test_what_was_given_reaches_the_settings_and_the_command_sees_its_own_only():
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


def test_every_command_says_what_it_does_in_one_sentence():
    for name, command in root.commands.items():
        assert command.help.endswith("."), name
        assert "\n" not in command.help.strip(), name
