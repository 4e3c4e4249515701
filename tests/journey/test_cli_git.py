"""The objects of a server as files in git: pull, diff, plan, push and promote on the command line."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journey.shell import Finished, bellcast
from tests.servers import ServerProcess

TEMPLATE = {
    "email": {"subject": "Booking", "html": "<p>Hello\n{{ data.client }}</p>"},
    "translations": {"de": {"email": {"subject": "Buchung", "html": "<p>Hallo</p>"}}},
}
WORKFLOW = {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]}
PROVIDER = {"channel": "email", "url": "smtp://user:hunter2hunter2@mail.example.com:587"}


class Folder:
    """A folder of files, and the server that it describes."""

    def __init__(self, root: Path, url: str, secret: str) -> None:
        self.root = root
        self.url = url
        self.variables = {"BELLCAST_URL": url, "BELLCAST_SECRET": secret}
        self.rest = httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}"})

    def run(self, command: str, *args: object, **variables: str) -> Finished:
        return bellcast(command, "--folder", str(self.root), *args, **{**self.variables, **variables})

    def put(self, path: str, value: Any) -> None:
        self.rest.put(path, json=value).raise_for_status()

    def bytes(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own: a pull reads all objects."""
    with ServerProcess(tmp_path_factory.mktemp("git") / "data") as started:
        yield started


@pytest.fixture
def folder(server: ServerProcess, tmp_path: Path) -> Iterator[Folder]:
    one = Folder(tmp_path / "shop", server.url, server.secret)
    yield one
    remove_all(one)
    one.rest.close()


def remove_all(folder: Folder) -> None:
    """Delete every object of the server."""
    objects = folder.rest.get("/v1/bundle?tenant=*").raise_for_status().json()["objects"]
    sources = {(one["managed"] or {}).get("source", "tests") for one in objects}
    for source in sources:
        gone = [
            {name: one[name] for name in ("kind", "key", "tenant")} | {"values": None}
            for one in objects
            if (one["managed"] or {}).get("source", source) == source
        ]
        folder.rest.post("/v1/bundle", json={"source": source, "objects": gone}).raise_for_status()


@pytest.fixture
def filled(folder: Folder) -> Folder:
    """A server with objects of several kinds, and their files."""
    folder.put("/v1/templates/git-booking", TEMPLATE)
    folder.put("/v1/workflows/git-booking", WORKFLOW)
    folder.put("/v1/types/git%2Fodd:type", {"name": "Odd"})
    folder.put("/v1/providers/git-mail", PROVIDER)
    folder.put("/v1/workflows/git-booking?tenant=ac%2Fme", WORKFLOW)
    folder.put("/v1/preference-defaults", {"channels": {"sms": False}})
    assert folder.run("pull").status == 0
    return folder


class TestPull:
    def test_key_that_is_too_long_for_a_file_is_left_out_and_named(self, folder: Folder) -> None:
        folder.put(f"/v1/types/{'é' * 100}?tenant=acme", {"name": "Long"})
        folder.put("/v1/types/booking", {"name": "Bookings"})
        pulled = folder.run("pull")
        assert pulled.status == 0, pulled
        assert f"types/{'é' * 100}?tenant=acme" in pulled.err.replace("\n", ""), pulled
        assert sorted(folder.bytes()) == ["bellcast.yaml", "types/booking.yaml"]

    def test_objects_are_files_and_a_second_pull_changes_nothing(self, filled: Folder) -> None:
        files = filled.bytes()
        assert set(files) == {
            "bellcast.yaml",
            "templates/git-booking/template.yaml",
            "templates/git-booking/email.html",
            "templates/git-booking/de.email.html",
            "workflows/git-booking.yaml",
            "types/git%2Fodd%3Atype.yaml",
            "providers/git-mail.yaml",
            "tenants/ac%2Fme/workflows/git-booking.yaml",
            "preference-defaults.yaml",
        }
        assert files["templates/git-booking/email.html"].decode() == TEMPLATE["email"]["html"]
        assert files["workflows/git-booking.yaml"] == b"steps:\n- key: bell\n  type: inbox\n  title: Hello\n"
        assert b"hunter2" not in b"".join(files.values())
        assert b"${BELLCAST_PROVIDER_GIT_MAIL}" in files["providers/git-mail.yaml"]
        assert filled.run("pull", "--check").status == 0
        assert filled.run("pull").status == 0
        assert filled.bytes() == files
        again = Folder(filled.root.parent / "other" / "shop", filled.url, filled.variables["BELLCAST_SECRET"])
        again.run("pull")
        assert again.bytes() == files

    def test_objects_of_other_tenants_than_those_of_the_folder_are_left_alone(self, filled: Folder) -> None:
        filled.put("/v1/types/git-own?tenant=beta", {"name": "Beta"})
        mine = {path for path in filled.bytes() if not path.startswith("tenants/")}
        for tenants, own in (("[]", set[str]()), ("[beta]", {"tenants/beta/types/git-own.yaml"})):
            shutil.rmtree(filled.root)
            filled.write("bellcast.yaml", f"format: 1\nsource: shop\ntenants: {tenants}\n")
            assert filled.run("pull").status == 0
            assert set(filled.bytes()) == mine | own
            filled.write("tenants/ac%2Fme/types/git-new.yaml", "name: New\n")  # of another folder
            assert filled.run("pull", "--check").status == 0
            pushed = filled.run("push", "--yes", "--adopt", "--delete")
            assert pushed.status == 0, pushed
        objects = filled.rest.get("/v1/bundle?tenant=*").json()["objects"]
        managed = {(one["tenant"], one["key"]): one["managed"] is not None for one in objects}
        assert ("ac/me", "git-new") not in managed
        assert managed["beta", "git-own"]
        assert not managed["ac/me", "git-booking"]

    def test_objects_of_a_tenant_beyond_the_limit_do_not_keep_the_project_from_being_pulled(
        self, folder: Folder
    ) -> None:
        objects = [{"kind": "types", "key": f"t{n}", "tenant": "many", "values": {"name": "T"}} for n in range(1_000)]
        folder.put("/v1/types/booking", {"name": "Bookings"})
        folder.rest.post("/v1/bundle", json={"source": "x", "objects": objects}, timeout=60).raise_for_status()
        refused = folder.run("pull")
        folder.write("bellcast.yaml", "format: 1\nsource: shop\ntenants: []\n")
        pulled = folder.run("pull")
        gone = [one | {"values": None} for one in objects]
        folder.rest.post("/v1/bundle", json={"source": "x", "objects": gone}, timeout=60).raise_for_status()
        assert refused.status == 1
        assert "in bellcast.yaml" in " ".join(refused.err.split()), refused
        assert pulled.status == 0, pulled
        assert sorted(folder.bytes()) == ["bellcast.yaml", "types/booking.yaml"]

    @pytest.mark.parametrize("tenants", ["acme", "[5]", "['']", "{}"])
    def test_configuration_with_wrong_tenants_is_refused(self, folder: Folder, tenants: str) -> None:
        folder.write("bellcast.yaml", f"format: 1\nsource: shop\ntenants: {tenants}\n")
        refused = folder.run("pull")
        assert refused.status == 1
        assert "tenants" in refused.err, refused

    def test_comments_and_defaults_stay_in_files_whose_value_is_the_same(self, filled: Folder) -> None:
        own = filled.write("workflows/git-booking.yaml", "# Ours\nsteps:\n  - {key: bell, type: inbox, title: Hello}\n")
        type = filled.write("types/git%2Fodd%3Atype.yaml", "# Odd\nname: Odd\nrequired: false\n")
        filled.put("/v1/preference-defaults", {"channels": {"sms": True}})
        assert filled.run("pull", "--check").status == 1
        assert "Wrote 1 of " in filled.run("pull").out
        assert own.read_text().startswith("# Ours")
        assert type.read_text().startswith("# Odd")
        assert "sms: true" in (filled.root / "preference-defaults.yaml").read_text()

    def test_file_without_an_object_is_deleted_only_if_git_has_it(self, filled: Folder) -> None:
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(filled.root)]
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *arguments], check=True)
        own = filled.write("types/mine.yaml", "name: Mine\n")
        filled.rest.delete("/v1/types/git%2Fodd:type").raise_for_status()
        assert filled.run("pull", "--check").status == 1
        assert "Kept files" in filled.run("pull").err
        assert own.exists()
        assert not (filled.root / "types/git%2Fodd%3Atype.yaml").exists()

    @pytest.mark.parametrize(
        "path", ["workflows/x.yaml", "workflows", "templates/x", "tenants/x", "preference-defaults.yaml"]
    )
    def test_links_are_refused(self, folder: Folder, path: str, tmp_path: Path) -> None:
        folder.write("bellcast.yaml", "format: 1\nsource: shop\n")
        outside = tmp_path / "secret.yaml"
        outside.write_text("name: secret\n")
        link = folder.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(outside if "yaml" in path else tmp_path)
        for command in ("pull", "plan", "push"):
            refused = folder.run(command)
            assert (refused.status, "is a link" in refused.err) == (1, True)

    def test_link_in_place_of_the_configuration_creates_no_file_outside(self, folder: Folder, tmp_path: Path) -> None:
        outside = tmp_path / "outside.yaml"
        folder.root.mkdir(parents=True, exist_ok=True)
        (folder.root / "bellcast.yaml").symlink_to(outside)
        refused = folder.run("pull")
        assert (refused.status, "is a link" in refused.err) == (1, True)
        assert not outside.exists()

    def test_pipe_and_huge_file_are_refused_without_being_read(self, folder: Folder) -> None:
        folder.write("bellcast.yaml", "format: 1\nsource: shop\n")
        huge = folder.write("workflows/huge.yaml", "steps: []\n")
        os.truncate(huge, 2**40)  # a sparse file
        refused = folder.run("plan")
        assert (refused.status, "huge.yaml has more than 512 KiB" in refused.err) == (1, True)
        huge.unlink()
        os.mkfifo(huge)
        refused = folder.run("plan")
        assert (refused.status, "huge.yaml is no file" in refused.err) == (1, True)


class TestPush:
    def test_refusal_names_the_file_and_not_the_position_in_the_push(self, folder: Folder) -> None:
        folder.write("bellcast.yaml", "format: 1\nsource: shop\n")
        for text, refusal in {
            "note: " + "x" * 262_144: "large.yaml: must be at most 262144 bytes of JSON",
            "steps: []": "large.yaml: steps: must be a list of at least one step",
        }.items():
            file = folder.write("workflows/large.yaml", text)
            assert f"Error: {file.parent}/{refusal}" in folder.run("push", "--yes").err

    @pytest.mark.parametrize("kinds", ["5", "workflows", "[workflows, ../outside]", "[{a: 1}]"])
    def test_configuration_with_other_kinds_is_refused(self, folder: Folder, kinds: str) -> None:
        folder.write("bellcast.yaml", f"format: 1\nsource: shop\nkinds: {kinds}\n")
        refused = folder.run("plan")
        assert (refused.status, "bellcast.yaml has unknown kinds; write a list of types" in refused.err) == (1, True)

    @pytest.mark.thorough
    def test_changes_need_their_options(self, filled: Folder) -> None:
        assert "--adopt" in filled.run("push", "--yes").err
        assert filled.run("push", "--yes", "--adopt").status == 0
        assert filled.run("diff").status == 0
        assert filled.rest.put("/v1/workflows/git-booking", json=WORKFLOW).json()["code"] == "managed"
        file = filled.write("workflows/git-booking.yaml", "steps:\n- {key: bell, type: inbox, title: Hi}\n")
        shown = filled.run("diff")
        assert (shown.status, 'steps.bell.title: "Hello" → "Hi"' in shown.out) == (1, True)
        assert filled.run("push", "--yes").status == 0
        (filled.root / "types/git%2Fodd%3Atype.yaml").unlink()
        assert "1 object without a file: " in (problem := filled.run("push", "--yes").err)
        assert "--delete" in problem
        assert filled.run("push", "--yes", "--delete").status == 0
        assert filled.rest.get("/v1/types/git%2Fodd:type").status_code == 404
        name = {"kind": "workflows", "key": "git-booking"}
        filled.rest.post("/v1/bundle/unlock", json=name).raise_for_status()
        filled.put("/v1/workflows/git-booking", WORKFLOW)
        assert "1 object changed on the server since the last push: " in (problem := filled.run("push", "--yes").err)
        assert "--overwrite" in problem
        assert "drift" in filled.run("plan").out
        assert filled.run("push", "--yes", "--overwrite").status == 0
        assert filled.rest.get("/v1/workflows/git-booking").json()["steps"][0]["title"] == "Hi"
        file.write_text("steps:\n- {key: later, type: delay, for: soon}\n")
        for command in ("plan", "push"):
            refused = filled.run(command)
            assert (refused.status, f"{file}: steps.0.for" in refused.err) == (1, True)

    def test_change_between_plan_and_push_writes_nothing(self, filled: Folder) -> None:
        plan = filled.root.parent / "plan.json"
        filled.write("workflows/git-booking.yaml", "steps:\n- {key: bell, type: inbox, title: Hi}\n")
        filled.run("plan", "--out", plan)
        assert "hunter2" not in plan.read_text()
        filled.put("/v1/types/git%2Fodd:type", {"name": "Changed"})
        refused = filled.run("push", "--plan", plan, "--yes", "--adopt")
        assert (refused.status, "has changed since" in refused.err) == (1, True)
        assert filled.rest.get("/v1/workflows/git-booking").json()["steps"][0]["title"] == "Hello"
        filled.run("pull")
        filled.write("workflows/git-booking.yaml", "steps:\n- {key: bell, type: inbox, title: Hi}\n")
        filled.run("plan", "--out", plan)
        pushed = filled.run("push", "--plan", plan, "--yes", "--adopt")
        assert (pushed.status, "Locked: the console does not publish them" in pushed.out) == (0, True)
        assert filled.rest.get("/v1/workflows/git-booking").json()["steps"][0]["title"] == "Hi"

    def test_url_of_a_provider_comes_from_the_environment(self, filled: Folder) -> None:
        other = PROVIDER["url"].replace("mail.", "smtp.")
        assert "adopted" in filled.run("push", "--yes", "--adopt").out
        assert filled.run("push", "--yes", BELLCAST_PROVIDER_GIT_MAIL=other).status == 0
        assert filled.rest.get("/v1/providers/git-mail").json()["url"] == "smtp://…@smtp.example.com:587"

    def test_new_provider_needs_its_variable_or_to_be_added_in_the_console_first(self, filled: Folder) -> None:
        filled.run("push", "--yes", "--adopt")
        filled.write("providers/new.yaml", "channel: email\nurl: ${BELLCAST_PROVIDER_NEW}\n")
        filled.write("types/git-new.yaml", "name: New\n")
        for command in (("plan",), ("push", "--yes")):
            done = filled.run(*command)
            assert done.status == 1
            assert "set BELLCAST_PROVIDER_NEW, or add the provider in the console first" in done.err
        assert filled.rest.get("/v1/types/git-new").status_code == 404
        filled.rest.put("/v1/providers/new", json=PROVIDER).raise_for_status()
        assert filled.run("push", "--yes", "--adopt").status == 0
        assert filled.rest.get("/v1/types/git-new").status_code == 200
        assert filled.rest.get("/v1/providers/new").json()["url"] == "smtp://…@mail.example.com:587"

    def test_markdown_is_a_table_without_effects_of_texts(self, filled: Folder) -> None:
        filled.run("push", "--yes", "--adopt")
        filled.write("types/git-new.yaml", 'name: "<img src=x>|"\n')
        table = filled.run("plan", "--markdown").out
        assert table.splitlines()[0] == "### Bellcast: 1 create"
        assert "| create | `types/git-new` |" in table


class TestEnvironments:
    def test_objects_are_promoted_between_environments(self, filled: Folder) -> None:
        environments = {name: {"url": filled.url} for name in ("staging", "production")}
        environments["production"] |= {"protected": True}
        filled.write("bellcast.yaml", json.dumps({"format": 1, "source": "shop", "environments": environments}))
        secret = filled.variables["BELLCAST_SECRET"]
        missing = filled.run("diff", "--env", "staging")
        assert (missing.status, "BELLCAST_SECRET_STAGING is not set" in missing.err) == (1, True)
        secrets = {"BELLCAST_SECRET_STAGING": secret, "BELLCAST_SECRET_PRODUCTION": secret}
        wrong = " ".join(filled.run("plan", "--env", "staging", BELLCAST_SECRET_STAGING="wrong").err.split())
        assert "does not accept this secret (from BELLCAST_SECRET_STAGING); check the `url` of staging in" in wrong
        assert filled.run("diff", "--env", "staging", **secrets).status == 0
        plan = filled.root.parent / "plan.json"
        assert filled.run("plan", "--env", "production", "--out", plan, **secrets).status == 0
        refused = filled.run("push", "--env", "production", "--yes", "--adopt", **secrets)
        assert (refused.status, "protected" in refused.err) == (1, True)
        other = filled.run("push", "--env", "staging", "--plan", plan, "--yes", "--adopt", **secrets)
        assert (other.status, "is a plan for production" in other.err) == (1, True)
        assert filled.run("push", "--plan", plan, "--yes", "--adopt", **secrets).status == 0
        arguments = ("--from", "staging", "--to", "production")
        assert filled.run("promote", *arguments, "--yes", **secrets).status == 1
        typed = bellcast(
            "promote", "--folder", str(filled.root), *arguments, stdin="production\n", **filled.variables, **secrets
        )
        assert typed.status == 0
        back = filled.run(
            "promote", "--from", "production", "--to", "staging", "--only", "workflows/git-booking", "--yes", **secrets
        )
        assert "no changes" in back.out
        unknown = filled.run("diff", "--env", "moon", **secrets)
        assert "staging, production" in unknown.err
