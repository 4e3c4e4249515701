"""Objects as files of a folder in git: one YAML file for each, and the HTML of e-mails beside its template.

The same objects make the same bytes. A file whose value does not differ is never written again, so it keeps its comments."""

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import yaml

from bellcast.cli.output import CommandError
from bellcast.kernel import yaml_text
from bellcast.kernel.errors import BadRequest

# The kinds of objects in the order in which they are shown; preference defaults are one file.
KINDS = ("types", "templates", "workflows", "sources", "providers", "preference-defaults")
TEMPLATES, DEFAULTS = "templates", "preference-defaults"
CONFIG, TEMPLATE, HTML, TENANTS = "bellcast.yaml", "template.yaml", "email.html", "tenants"
MAX_OBJECTS, MAX_BYTES = 1_000, 8 * 1024 * 1024
MAX_NAME = 250  # bytes of a file's name without `.yaml`: every system has a limit of 255
# Fields that say what an object is stand before the others, and lists of parts after them.
FIRST = ("format", "source", "key", "type", "name", "event", "channel", "url", "if")
LAST = ("steps", "branches", "else", "blocks", "columns", "translations", "environments")

# Kind, tenant and key.
Name = tuple[str, str | None, str]
Values = dict[str, Any]


class Config(NamedTuple):
    """`bellcast.yaml`: the source of pushes, the kinds of objects in the folder, the servers by name, and the tenants besides
    the project, None for all."""

    source: str
    kinds: tuple[str, ...]
    lock: bool
    environments: dict[str, Any]
    tenants: tuple[str, ...] | None = None


class ObjectFile(NamedTuple):
    """An object in the folder, and the file that an error about it names."""

    name: Name
    values: Values
    path: Path


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""

    def represent_str(self, data: str) -> Any:
        style = "|" if "\n" in data and "\r" not in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def dump(value: Any) -> bytes:
    """Return a value as YAML."""
    text: str = yaml.dump(_ordered(value), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)
    return text.encode()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):

        def place(name: str) -> tuple[int, str]:
            first = FIRST.index(name) - len(FIRST) if name in FIRST else 0
            return first or (1 + LAST.index(name) if name in LAST else 0), name

        return {name: _ordered(value[name]) for name in sorted(value, key=place)}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


def label(name: Name) -> str:
    """Return the name of an object for people: `workflows/booking?tenant=acme`."""
    kind, tenant, key = name
    return "/".join(filter(None, (kind, key))) + (f"?tenant={tenant}" if tenant else "")


def _encoded(key: str) -> str:
    """Return a key as the name of a file, which no path leaves and no system treats specially."""
    text = quote(key, safe=" !#$&'()+,;=@[]^{}~")
    return f"%2E{text[1:]}" if text.startswith(".") else text


def fits(name: Name) -> bool:
    """Return whether the names of an object and of its tenant are not too long for the name of a file."""
    return all(len(_encoded(part or "")) <= MAX_NAME for part in name[1:])


def check_case(root: Path, names: Iterable[Name]) -> None:
    """Raise CommandError if objects differ only by case, and so do not in the file system of the folder."""
    if not (root / CONFIG.upper()).exists():
        return
    found: dict[tuple[str, ...], Name] = {}
    for kind, tenant, key in names:
        for one in ((kind, tenant, key), ("", tenant, "")):  # the file, and the folder of the tenant
            other = found.setdefault(tuple(_encoded(part or "").casefold() for part in one), one)
            if other != one:
                raise CommandError(
                    f"{label(other)} and {label(one)} differ only by case, and {root} does not distinguish it",
                    "use a folder that does, or replace one of them on the server",
                )


def read_config(root: Path) -> Config:
    """Read `bellcast.yaml`. Raises CommandError."""
    path = root / CONFIG
    if not path.exists():
        raise CommandError(f"{path} does not exist", "run `bellcast pull` in the folder, or pass it with --folder")
    value = _yaml(path)
    if value.get("format") != 1 or not isinstance(value.get("source"), str):
        raise CommandError(f"{path} has no format 1 with a source", "write `format: 1` and `source: NAME`")
    kinds = value.get("kinds") or [*KINDS]
    if not isinstance(kinds, list) or not all(kind in KINDS for kind in kinds):
        raise CommandError(f"{path} has unknown kinds", f"write a list of {', '.join(KINDS)}")
    environments = value.get("environments") or {}
    if not isinstance(environments, dict) or not all(
        isinstance(one, dict) and isinstance(one.get("url"), str) for one in environments.values()
    ):
        raise CommandError(f"{path} has environments without a url", "write `NAME: {url: https://…}`")
    tenants = value.get("tenants")
    if tenants is not None and not (isinstance(tenants, list) and all(isinstance(one, str) and one for one in tenants)):
        raise CommandError(f"{path} has wrong tenants", "write a list such as [acme], or [] for the project only")
    only = None if tenants is None else tuple(dict.fromkeys(tenants))
    return Config(value["source"], tuple(kinds), value.get("lock") is True, environments, only)


def write_config(root: Path, config: Config) -> None:
    """Write `bellcast.yaml`."""
    root.mkdir(parents=True, exist_ok=True)
    if (root / CONFIG).is_symlink():
        raise CommandError(f"{root / CONFIG} is a link", "replace it with the file itself")
    value = {"format": 1} | config._asdict() | {"kinds": list(config.kinds)}
    del value["tenants"]
    (root / CONFIG).write_bytes(dump(value))


def read(root: Path, config: Config) -> list[ObjectFile]:
    """Read all objects of a folder. Raises CommandError for links, and for more than a push accepts."""
    found, size = list[ObjectFile](), 0
    for one, read_bytes in _objects(root, config):
        found.append(one)
        size += read_bytes
        if len(found) > MAX_OBJECTS or size > MAX_BYTES:
            raise CommandError(
                f"{root} has more than {MAX_OBJECTS} objects or {MAX_BYTES // 2**20} MiB",
                "push parts of it, with fewer kinds or tenants in several folders",
            )
    return found


def _objects(root: Path, config: Config) -> Iterator[tuple[ObjectFile, int]]:
    owners = [(root, None), *((path, unquote(path.name)) for path in _entries(root / TENANTS) if path.is_dir())]
    for base, tenant in owners:
        if tenant is not None and config.tenants is not None and tenant not in config.tenants:
            continue
        for kind in config.kinds:
            if kind == DEFAULTS:
                path = base / f"{DEFAULTS}.yaml"
                if path.is_symlink() or path.exists():
                    yield ObjectFile((kind, tenant, ""), _yaml(path), path), path.stat().st_size
                continue
            for path in _entries(base / kind):
                if kind == TEMPLATES and path.is_dir():
                    yield _template(path, tenant)
                elif path.suffix == ".yml":
                    raise CommandError(f"{path} is not read", "rename it to .yaml")
                elif kind != TEMPLATES and path.suffix == ".yaml":
                    yield ObjectFile((kind, tenant, unquote(path.stem)), _yaml(path), path), path.stat().st_size


def _template(folder: Path, tenant: str | None) -> tuple[ObjectFile, int]:
    path, size = folder / TEMPLATE, 0
    entries = _entries(folder)
    values = _yaml(path) if path in entries else {}
    for file in entries:
        size += file.stat().st_size
        if not file.name.endswith(".html"):
            continue
        locale, _, rest = file.name.rpartition(HTML)
        if rest or (locale and not locale.endswith(".")):
            raise CommandError(f"{file} is not read", f"name it {HTML} or LOCALE.{HTML}")
        parts = values
        for name in (*(("translations", unquote(locale[:-1])) if locale else ()), "email"):
            inner = parts.get(name) or {}  # a name without a value is None
            if not isinstance(inner, dict):
                raise CommandError(f"{path}: {name} has no fields", f"write fields with values, or delete {file}")
            parts[name] = inner
            parts = inner
        if "html" in parts:
            raise CommandError(f"{path} and {file} both have the HTML", "delete one of them")
        parts["html"] = _bytes(file).decode()
    return ObjectFile((TEMPLATES, tenant, unquote(folder.name)), values, path), size


def _entries(folder: Path) -> list[Path]:
    """Return the files and folders in a folder. Raises CommandError for a link, which could lead outside."""
    if folder.is_symlink():
        raise CommandError(f"{folder} is a link", "replace it with the folder itself")
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    if link := next((one for one in entries if one.is_symlink()), None):
        raise CommandError(f"{link} is a link", "replace it with the file itself")
    return entries


def _bytes(path: Path) -> bytes:
    if path.is_symlink():
        raise CommandError(f"{path} is a link", "replace it with the file itself")
    if path.exists() and not path.is_file():  # reading a pipe would not end
        raise CommandError(f"{path} is no file", "delete it")
    try:
        with path.open("rb") as file:
            text = file.read((most := yaml_text.MAX_BYTES) + 1)
        if len(text) > most:
            raise CommandError(f"{path} has more than {most // 1024} KiB", "no object is as large: delete it")
        text.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", "write it as UTF-8") from None
    return text


def _yaml(path: Path) -> Values:
    try:
        value = yaml_text.YamlText(_bytes(path)).value
    except BadRequest as error:
        raise CommandError(f"{path}: {error.detail}", "correct the file") from None
    if value is not None and not isinstance(value, dict):
        raise CommandError(f"{path} has no fields", "write fields with values")
    return value or {}


def files_of(root: Path, name: Name, values: Values) -> dict[Path, Values | str]:
    """Return the files of an object: fields of a YAML file, or the text of an HTML file."""
    kind, tenant, key = name
    base = root if tenant is None else root / TENANTS / _encoded(tenant)
    if kind == DEFAULTS:
        return {base / f"{DEFAULTS}.yaml": values}
    if kind != TEMPLATES:
        return {base / kind / f"{_encoded(key)}.yaml": values}
    folder, rest = base / kind / _encoded(key), copy.deepcopy(values)
    files: dict[Path, Values | str] = {folder / TEMPLATE: rest}
    for locale, parts in (("", rest), *list((rest.get("translations") or {}).items())):
        html = (parts.get("email") or {}).get("html")
        file = folder / (f"{_encoded(locale)}.{HTML}" if locale else HTML)
        # File systems may not distinguish locales that differ only by case: the second one's HTML stays in the YAML file.
        is_distinct = str(file).casefold() not in {str(one).casefold() for one in files}
        if isinstance(html, str) and "\r" not in html and is_distinct:
            files[file] = html
            del parts["email"]["html"]
            if not parts["email"]:
                del parts["email"]
            if locale and not parts:
                del rest["translations"][locale]
    if rest.get("translations") == {}:
        del rest["translations"]
    return files


def write(files: dict[Path, Values | str]) -> list[Path]:
    """Write the files whose value differs, and return them. HTML files of parts that were removed from a template are deleted."""
    changed: list[Path] = []
    for path, value in files.items():
        for one in (path, *list(path.parents)[:4]):
            if one.is_symlink() and one != one.parent:
                raise CommandError(f"{one} is a link", "replace it with the file or folder itself")
        if path.exists() and (_bytes(path).decode() if isinstance(value, str) else _yaml(path)) == value:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value.encode() if isinstance(value, str) else dump(value))
        changed.append(path)
    for folder in {path.parent for path in files if path.name == TEMPLATE}:
        for path in folder.glob(f"*{HTML}"):
            if path not in files:
                path.unlink()
                changed.append(path)
    return changed


def delete(one: ObjectFile) -> None:
    """Delete the files of an object, and folders that are empty without them."""
    files = _entries(one.path.parent) if one.name[0] == TEMPLATES else [one.path]
    for path in files:
        if path == one.path or path.name.endswith(HTML):
            path.unlink()
    for folder in list(one.path.parents)[:3]:
        if any(folder.iterdir()) or (folder / CONFIG).exists():
            break
        folder.rmdir()
