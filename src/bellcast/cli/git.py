"""`bellcast pull`, `diff`, `plan`, `push` and `promote`: the objects of a server as files in git, and back."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError

if TYPE_CHECKING:  # imported when a command runs, not for --help
    from bellcast.cli.object_files import Config, Name, ObjectFile
    from bellcast.settings import Settings

PANEL = "Send and follow"
EPILOG = """\
[dim]Examples[/]

  bellcast pull --env staging
  bellcast plan --env production --out plan.json
  bellcast push --env production --plan plan.json --yes
  bellcast promote --from staging --to production --only workflows/booking
"""
# Seconds for a push of the largest folder on a busy server.
TIMEOUT_SECONDS = 120.0
SYMBOLS = {"create": "+", "update": "~", "delete": "-", "adopt": "=", "drift": "!", "none": " "}
DONE = {"create": "created", "update": "updated", "delete": "deleted", "adopt": "adopted", "drift": "overwritten"}
# Actions that need an option of `push`.
FLAGS = {"delete": "--delete", "adopt": "--adopt", "drift": "--overwrite"}
REASONS = {
    "--adopt": "not managed by any source yet",
    "--overwrite": "changed on the server since the last push",
    "--delete": "without a file",
}
PLACEHOLDER = re.compile(r"\$\{(BELLCAST_PROVIDER_[A-Z0-9_]+)\}")
FIELD = re.compile(r"\bobjects\.(\d+)(?:\.values)?(?:\.|: )")
SHOWN_LINES = 20
# From here on, a command says what it does.
MANY = 100

EnvOption = Annotated[
    str | None,
    options.option("NAME", "A server of `environments` in bellcast.yaml. Its secret is BELLCAST_SECRET_NAME.", "--env"),
]
FolderOption = Annotated[Path, options.option("DIR", "The folder with bellcast.yaml.", "--folder")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DeleteOption = Annotated[bool, typer.Option("--delete", help="Delete objects that have no file any more.")]
AdoptOption = Annotated[bool, typer.Option("--adopt", help="Take over objects that no source manages yet.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what was changed on the server since.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print a table, for a pull request.")]

app = typer.Typer()


class Server(NamedTuple):
    """A server of a command: its settings, and its entry in `environments`."""

    settings: "Settings"
    environment: str | None = None
    is_protected: bool = False
    variable: str = ""  # with the secret of its environment

    def request(self, method: str, body: Any = None, **params: Any) -> Any:
        """Send a request for the bundle, and return the decoded response. Raises CommandError."""
        from bellcast.cli import remote
        from bellcast.client import Unauthorized, Unavailable
        from bellcast.client.request import call

        sent = call(method, "/v1/bundle", dict[str, Any], body, timeout=TIMEOUT_SECONDS, **params)
        try:
            with remote.server(self.settings) as client:
                return client.sender.send(sent)
        except CommandError as error:
            if self.environment is None or not isinstance(error.__cause__, Unauthorized | Unavailable):
                raise
            problem = error.problem.replace("BELLCAST_SECRET", self.variable)
            hint = f"check the `url` of {self.environment} in bellcast.yaml, and {self.variable}"
            raise CommandError(problem, hint) from error

    def state(self, config: "Config") -> dict["Name", Any]:
        """Return the objects of the server by name. Their kinds become folders: another one could lead anywhere."""
        found: dict[Name, Any] = {}
        for owner in ("*",) if config.tenants is None else (None, *config.tenants):
            objects = self.request("GET", kinds=",".join(config.kinds), tenant=owner)["objects"]
            found |= {(one["kind"], one["tenant"], one["key"]): one for one in objects if one["kind"] in config.kinds}
        return found


@app.command(cls=options.RequestCommand, rich_help_panel=PANEL, epilog=EPILOG)
def pull(
    ctx: typer.Context,
    env: EnvOption = None,
    folder: FolderOption = Path(),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file would change.")] = False,
) -> None:
    """Write the objects of the server as files. Files whose value is the same keep their comments."""
    from bellcast.cli import object_files

    if not (folder / object_files.CONFIG).exists() and not check:
        object_files.write_config(
            folder, object_files.Config(folder.resolve().name or "bellcast", object_files.KINDS, True, {})
        )
    config = object_files.read_config(folder)
    server = _server(ctx, config, env)
    state, local = server.state(config), {one.name: one for one in object_files.read(folder, config)}
    if unwritable := [name for name in state if not object_files.fits(name)]:
        output.note(f"Left out, because their keys are too long for the name of a file: {_listed(unwritable)}")
        state = {name: one for name, one in state.items() if name not in unwritable}
    if len(state) >= MANY:
        output.note(f"Reading {output.counted(len(state), 'object')} …")
    differ = [name for name, one in state.items() if name not in local or local[name].values != one["values"]]
    same = _equal(server, config, [local[name] for name in differ if name in local])
    differ = [name for name in differ if name not in same]
    gone = [one for name, one in local.items() if name not in state]
    deleted = [one for one in gone if _is_committed(one)]
    if check:
        names = [*differ, *(one.name for one in deleted)]
        if names:
            raise CommandError(
                f"{output.counted(len(names), 'file')} would change: {_listed(names)}",
                "run `bellcast pull`, and commit",
            )
        output.done("No file would change")
        return
    object_files.check_case(folder, state)
    for name in differ:
        object_files.write(object_files.files_of(folder, name, state[name]["values"]))
    for one in deleted:
        object_files.delete(one)
    if kept := [one.name for one in gone if one not in deleted]:
        output.note(f"Kept files that are not on the server and not committed: {_listed(kept)}")
    more = f", deleted {output.counted(len(deleted), 'file')}" if deleted else ""
    output.done(f"Wrote {len(differ)} of {output.counted(len(state), 'object')}{more}")


def _equal(server: Server, config: "Config", files: Sequence["ObjectFile"]) -> set["Name"]:
    """Return the files that mean what is stored, although they are written differently, such as with a default value."""
    if not files:
        return set()
    sent = [_pushed(one.name, one.values) for one in files]
    try:
        changes = server.request("POST", {"source": config.source, "objects": sent}, dry_run=True)["changes"]
    except CommandError:
        return set()  # an invalid file, or a key that only reads
    return {one.name for one, change in zip(files, changes, strict=True) if not _is_different(change)}


def _is_committed(one: "ObjectFile") -> bool:
    """Return whether git can restore the files of an object: of a template, all in its folder."""
    from bellcast.cli import object_files

    path = (one.path.parent if one.name[0] == object_files.TEMPLATES else one.path).resolve()
    status = _git(path.parent, "status", "--porcelain", "--ignored", "--", str(path))
    return status == "" and bool(_git(path.parent, "ls-files", "--", str(path)))


@app.command(cls=options.RequestCommand, rich_help_panel=PANEL, epilog=EPILOG)
def diff(ctx: typer.Context, env: EnvOption = None, folder: FolderOption = Path()) -> None:
    """Show how the files differ from the server. Fails if they do."""
    server, push = _planned(ctx, env, folder)
    changes = [one for one in _changes(server, push, folder) if _is_different(one)]
    _show(changes)
    if changes:
        raise typer.Exit(1)
    output.done("No differences")


@app.command(cls=options.RequestCommand, rich_help_panel=PANEL, epilog=EPILOG)
def plan(
    ctx: typer.Context,
    env: EnvOption = None,
    folder: FolderOption = Path(),
    out: Annotated[Path | None, options.option("FILE", "Write the plan for `push --plan`.")] = None,
    markdown: MarkdownOption = False,
) -> None:
    """Show what a push would change, with its effects. Fails if the server would refuse it."""
    import msgspec

    server, push = _planned(ctx, env, folder)
    changes = _changes(server, push, folder)
    if out is not None:
        written = {"format": 1, "environment": server.environment, "push": push, "changes": changes}
        out.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=1) + b"\n")
    if markdown:
        print(_markdown(changes, server.environment))
        return
    _show(changes)
    output.done(_summary(changes))


@app.command(cls=options.RequestCommand, rich_help_panel=PANEL, epilog=EPILOG)
def push(
    ctx: typer.Context,
    env: EnvOption = None,
    folder: FolderOption = Path(),
    file: Annotated[Path | None, options.option("FILE", "A plan of `plan --out`.", "--plan")] = None,
    yes: YesOption = False,
    delete: DeleteOption = False,
    adopt: AdoptOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the files to the server, all of them or none. Refused if anything has changed since the plan."""
    allowed = _allowed(delete=delete, adopt=adopt, overwrite=overwrite)
    if file is None:
        server, body = _planned(ctx, env, folder)
        _push(server, body, _changes(server, body, folder), allowed, yes=yes)
        return
    import msgspec

    from bellcast.cli import object_files

    try:
        stored: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read: {error}", "write it with `bellcast plan --out`") from None
    if not isinstance(stored, dict) or stored.get("format") != 1 or not {"push", "changes", "environment"} <= {*stored}:
        raise CommandError(f"{file} is no plan", "write it with `bellcast plan --out`")
    server = _server(ctx, object_files.read_config(folder), env or stored["environment"])
    if server.environment != stored["environment"]:
        raise CommandError(f"{file} is a plan for {stored['environment'] or 'another server'}", "plan again")
    _push(server, stored["push"], stored["changes"], allowed, yes=yes, is_reviewed=True)


@app.command(cls=options.RequestCommand, rich_help_panel=PANEL, epilog=EPILOG)
def promote(
    ctx: typer.Context,
    source: Annotated[str, options.option("NAME", "The server to read.", "--from")],
    target: Annotated[str, options.option("NAME", "The server to write.", "--to")],
    only: Annotated[list[str] | None, options.option("KIND/KEY", "Only this kind, or this object; repeatable.")] = None,
    folder: FolderOption = Path(),
    yes: YesOption = False,
    delete: DeleteOption = False,
    adopt: AdoptOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the objects of one server to another. Secrets stay where they are."""
    from bellcast.cli import object_files

    config = object_files.read_config(folder)

    def is_wanted(name: "Name") -> bool:
        return not only or name[0] in only or object_files.label(name) in only or f"{name[0]}/{name[2]}" in only

    read = _server(ctx, config, source).state(config)
    wanted = {name: one for name, one in read.items() if is_wanted(name)}
    if not wanted:
        raise CommandError(f"{source} has none of these objects", "check --only")
    commits = {one["managed"]["commit"] for one in wanted.values() if one["managed"] is not None}
    server = _server(ctx, config, target)
    values = {name: one["values"] for name, one in wanted.items()}
    body = _body(server, config, values, commits.pop() if len(commits) == 1 else None, is_wanted)
    _push(
        server, body, _changes(server, body, None), _allowed(delete=delete, adopt=adopt, overwrite=overwrite), yes=yes
    )


def _server(ctx: typer.Context, config: "Config", env: str | None) -> Server:
    """Return the server that a command names, else that of the settings."""
    import msgspec

    from bellcast import settings as effective
    from bellcast.settings.parsers import Secret

    settings = options.settings(ctx)
    if env is None:
        return Server(settings)
    if env not in config.environments:
        known = ", ".join(config.environments) or "none"
        raise CommandError(f"bellcast.yaml has no environment {env}", f"choose one of: {known}")
    of_env = config.environments[env]
    variable = f"BELLCAST_SECRET_{re.sub(r'[^A-Za-z0-9]', '_', env).upper()}"
    secret = effective.variable(variable)
    if secret is None:
        raise CommandError(f"{variable} is not set", f"set it to the secret, or a key with `manage`, of {env}")
    client = msgspec.structs.replace(settings.client, url=of_env["url"], secret=Secret(secret))
    return Server(msgspec.structs.replace(settings, client=client), env, of_env.get("protected") is True, variable)


def _planned(ctx: typer.Context, env: str | None, folder: Path) -> tuple[Server, dict[str, Any]]:
    """Return the server, and the push of a folder to it."""
    from bellcast.cli import object_files

    config = object_files.read_config(folder)
    server, local = _server(ctx, config, env), object_files.read(folder, config)
    values = {one.name: one.values for one in local}
    if len(values) != len(local):
        raise CommandError(f"{folder} has an object twice", "check the names of its files")
    return server, _body(server, config, values, _git(folder, "rev-parse", "HEAD") or None)


def _body(
    server: Server,
    config: "Config",
    values: dict["Name", Any],
    commit: str | None,
    is_wanted: Callable[["Name"], bool] = lambda name: True,
) -> dict[str, Any]:
    """Return the push of objects, with the ETags that they have now, and deletions of what the source pushed before."""
    state = server.state(config)
    if len(values) >= MANY:
        output.note(f"Checking {output.counted(len(values), 'object')} …")
    gone = [
        name
        for name, one in state.items()
        if name not in values and is_wanted(name) and (one["managed"] or {}).get("source") == config.source
    ]
    return {
        "source": config.source,
        "commit": commit,
        "lock": config.lock,
        "objects": [
            _pushed(name, value, if_match=state[name]["etag"] if name in state else None)
            for name, value in [*values.items(), *((name, None) for name in gone)]
        ],
    }


def _pushed(name: "Name", values: Any, **condition: str | None) -> dict[str, Any]:
    kind, tenant, key = name
    return {"kind": kind, "key": key, "tenant": tenant, "values": values, **condition}


def _with_secrets(body: dict[str, Any]) -> dict[str, Any]:
    """Return a push with the URLs of providers from the environment, where it has them. Plans never contain them."""
    from bellcast import settings as effective

    objects = []
    for one in body["objects"]:
        text = (one["values"] or {}).get("url") if one["kind"] == "providers" else None
        named = PLACEHOLDER.fullmatch(text) if isinstance(text, str) else None
        secret = None if named is None else effective.variable(named[1])
        objects.append(one if secret is None else {**one, "values": one["values"] | {"url": secret}})
    return {**body, "objects": objects}


def _changes(server: Server, body: dict[str, Any], folder: Path | None) -> list[dict[str, Any]]:
    """Return what the server would change. A refusal names the files."""
    from bellcast.cli import object_files

    def named(match: re.Match[str]) -> str:
        one = body["objects"][int(match[1])]
        name = (one["kind"], one["tenant"], one["key"])
        where = object_files.label(name)
        if folder is not None:
            where = str(next(iter(object_files.files_of(folder, name, {}))))
        return f"{where}: "

    try:
        changes: list[dict[str, Any]] = server.request("POST", _with_secrets(body), dry_run=True)["changes"]
    except CommandError as error:
        raise CommandError(FIELD.sub(named, error.problem), error.hint) from None
    return changes


def _allowed(*, delete: bool, adopt: bool, overwrite: bool) -> set[str]:
    return {flag for flag, given in (("--delete", delete), ("--adopt", adopt), ("--overwrite", overwrite)) if given}


def _push(
    server: Server,
    body: dict[str, Any],
    changes: list[dict[str, Any]],
    allowed: set[str],
    *,
    yes: bool,
    is_reviewed: bool = False,
) -> None:
    _show(changes)
    for flag, reason in REASONS.items():
        names = []
        for one, sent in zip(changes, body["objects"], strict=True):
            needed = FLAGS.get(one["action"])
            # A drift that is deleted needs two options.
            if flag == needed or (flag == "--delete" and needed is not None and sent["values"] is None):
                names.append(_label(one))
        if names and flag not in allowed:
            counted = output.counted(len(names), "object")
            raise CommandError(f"{counted} {reason}: {_listed(names)}", f"check, and pass {flag}")
    if server.is_protected and not is_reviewed:
        if yes:
            raise CommandError(f"{server.environment} is protected", "push a file of `bellcast plan --out` with --plan")
        if typer.prompt(f"{server.environment} is protected. Type its name to push") != server.environment:
            raise CommandError("the name is another one", "nothing was changed")
    elif not yes and any(one["action"] != "none" for one in changes) and not typer.confirm("Push this?"):
        raise CommandError("not confirmed", "nothing was changed")
    done = server.request("POST", _with_secrets(body))["changes"]
    lock = "Locked: the console does not publish them until an owner unlocks them." if body["lock"] else ""
    output.done(f"Pushed: {_summary(done, DONE)}.", lock)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603, S607  no shell; as in any command line, `git` is the one in the user's PATH
    except OSError:
        return None  # git is not installed
    return done.stdout.strip() if done.returncode == 0 else None


def _is_different(change: dict[str, Any]) -> bool:
    return change["action"] in ("create", "delete") or bool(change["diff"])


def _label(change: dict[str, Any]) -> str:
    from bellcast.cli import object_files

    return object_files.label((change["kind"], change["tenant"], change["key"]))


def _listed(names: Sequence[Any]) -> str:
    from bellcast.cli import object_files

    texts = [one if isinstance(one, str) else object_files.label(one) for one in names]
    return ", ".join(texts[:5]) + (f" and {output.counted(len(texts) - 5, 'other')}" if len(texts) > 5 else "")


def _show(changes: list[dict[str, Any]]) -> None:
    import msgspec

    for one in changes:
        if one["action"] == "none":
            continue
        lines = [f"{SYMBOLS[one['action']]} {_label(one)}  {one['action']}"]
        for field in one["diff"][:SHOWN_LINES]:
            before, after = (msgspec.json.encode(field[name]).decode() for name in ("before", "after"))
            lines.append(f"    {field['field']}: {before} → {after}")
        if len(one["diff"]) > SHOWN_LINES:
            lines.append(f"    and {output.counted(len(one['diff']) - SHOWN_LINES, 'more field')}")
        lines += [f"    {effect['text']}" for effect in one["effects"]]
        output.show(lines)


def _summary(changes: list[dict[str, Any]], words: Mapping[str, str] | None = None) -> str:
    counts = {action: sum(one["action"] == action for one in changes) for action in DONE}
    named = (f"{count} {words[action] if words else action}" for action, count in counts.items() if count)
    return ", ".join(named) or "no changes"


def _markdown(changes: list[dict[str, Any]], environment: str | None) -> str:
    """Return a table of the changes. Texts of objects are code, so that they have no effect in a comment."""

    def code(text: str) -> str:
        return "`" + re.sub(r"[`|\s]+", " ", output.plain(text))[:80] + "`"

    lines = [f"### Bellcast: {_summary(changes)}" + (f" ({environment})" if environment else "")]
    rows = [one for one in changes if one["action"] != "none"]
    if rows:
        lines += ["", "| | Object | Changes | Effects |", "|---|---|---|---|"]
    for one in rows:
        fields = ", ".join(code(field["field"]) for field in one["diff"][:SHOWN_LINES])
        effects = " ".join(code(effect["text"]) for effect in one["effects"])
        needs = f" (needs `{FLAGS[one['action']]}`)" if one["action"] in FLAGS else ""
        lines.append(f"| {one['action']}{needs} | {code(_label(one))} | {fields} | {effects} |")
    return "\n".join(lines)
