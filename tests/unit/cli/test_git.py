"""What `bellcast pull` accepts from a server."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bellcast.cli import git, object_files
from bellcast.cli.git import Server
from bellcast.cli.output import CommandError
from bellcast.settings import load


def test_objects_of_other_kinds_are_ignored_because_kinds_become_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(*_: Any, **__: Any) -> Any:
        return {"objects": [{"kind": kind, "tenant": None, "key": "k"} for kind in ("../../outside", "types")]}

    monkeypatch.setattr(Server, "request", request)
    config = object_files.Config("shop", ("types", "templates"), False, {})
    assert list(Server(load({}, {})).state(config)) == [("types", None, "k")]


@pytest.mark.parametrize(
    ("one", "other"),
    [(("types", None, "Order"), ("types", None, "order")), (("types", "Acme", "a"), ("workflows", "acme", "b"))],
)
def test_objects_that_share_a_file_are_refused_where_case_does_not_count(
    tmp_path: Path, one: object_files.Name, other: object_files.Name
) -> None:
    (tmp_path / object_files.CONFIG).touch()
    object_files.check_case(tmp_path, [one, other])
    (tmp_path / object_files.CONFIG.upper()).touch()  # as if it were the same file
    with pytest.raises(CommandError, match="differ only by case"):
        object_files.check_case(tmp_path, [one, other])
    object_files.check_case(tmp_path, [one, ("templates", None, "É"), ("templates", None, "é")])


def test_html_of_locales_that_differ_only_by_case_is_kept_in_separate_places(tmp_path: Path) -> None:
    translations = {locale: {"email": {"html": f"<p>{locale}</p>"}} for locale in ("pt-BR", "pt-br", "fr")}
    values = {"email": {"html": "<p>Hi</p>"}, "translations": translations}
    files = object_files.files_of(tmp_path, ("templates", None, "booked"), values)
    folder = tmp_path / "templates" / "booked"
    assert sorted(path.name for path in files) == ["email.html", "fr.email.html", "pt-BR.email.html", "template.yaml"]
    assert files[folder / "template.yaml"] == {"translations": {"pt-br": {"email": {"html": "<p>pt-br</p>"}}}}

    object_files.write(files)
    (found,) = object_files.read(tmp_path, object_files.Config("shop", ("templates",), False, {}))
    assert found.values == values


@pytest.mark.parametrize("text", ["translations:\n", "translations:\n  de:\n", "translations:\n  de:\n    email:\n"])
def test_html_of_a_locale_is_read_beside_a_translation_without_a_value(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "templates" / "booked"
    folder.mkdir(parents=True)
    (folder / "template.yaml").write_text(text)
    (folder / "de.email.html").write_text("<p>Hallo</p>")
    config = object_files.Config("shop", ("templates",), False, {})
    (found,) = object_files.read(tmp_path, config)
    assert found.values == {"translations": {"de": {"email": {"html": "<p>Hallo</p>"}}}}
    (folder / "template.yaml").write_text("translations: [de]\n")
    with pytest.raises(CommandError, match=r"template\.yaml: translations has no fields"):
        object_files.read(tmp_path, config)


def test_refusal_of_a_template_with_a_wrong_form_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def request(*_: Any, **__: Any) -> Any:
        raise CommandError("objects.0.values.translations: expected an object", "nothing was changed")

    monkeypatch.setattr(Server, "request", request)
    pushed = {"kind": "templates", "tenant": None, "key": "booked", "values": {"translations": ["de"]}}
    file = tmp_path / "templates" / "booked" / "template.yaml"
    with pytest.raises(CommandError) as refused:
        git._changes(Server(load({}, {})), {"objects": [pushed]}, tmp_path)
    assert refused.value.problem == f"{file}: translations: expected an object"


def test_template_is_kept_while_a_file_of_its_folder_is_not_committed(tmp_path: Path) -> None:
    def run(*arguments: str) -> None:
        identity = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    folder = tmp_path / "templates" / "booked"
    folder.mkdir(parents=True)
    (folder / "template.yaml").write_text("email:\n  subject: Booked\n")
    (folder / "email.html").write_text("<p>Booked</p>")
    (one,) = object_files.read(tmp_path, object_files.Config("shop", ("templates",), False, {}))
    run("init", "--quiet")
    assert not git._is_committed(one)
    run("add", "--all")
    run("commit", "--quiet", "--message", "Add a template")
    assert git._is_committed(one)
    (folder / "email.html").write_text("<p>Booked, and changed since</p>")
    assert not git._is_committed(one)
