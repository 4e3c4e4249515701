"""The key that encrypts secrets in the store: a setting, or a generated file."""

from pathlib import Path

import pytest

from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.settings import Settings, load
from bellcast.settings.credentials import EncryptionKeys, encryption_keys, rotate_encryption_key

PROJECT = Project("p", "key", "secret")
KEY = "x" * 32


def settings(folder: Path, **values: str) -> Settings:
    return load({"data": str(folder)}, {f"BELLCAST_{name}": value for name, value in values.items()})


def test_key_is_generated_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = encryption_keys(settings(tmp_path / "data"), PROJECT)
    file = tmp_path / "data" / "encryption.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["encryption.json"]
    assert len(first.current) >= 32
    assert first == encryption_keys(settings(tmp_path / "data"), PROJECT)
    assert first.previous == ("secret",)  # the key of stores that are older than the file
    assert first.current not in repr(first)


def test_key_of_a_setting_is_used_and_no_file_is_written(tmp_path: Path) -> None:
    configured = encryption_keys(settings(tmp_path, ENCRYPTION_KEY=KEY), PROJECT)
    assert configured == EncryptionKeys(KEY, ("secret",), ("setting", "project secret"), KEY)
    # Nodes whose project comes from a setting may have separate data folders.
    assert encryption_keys(settings(tmp_path, PROJECT="p:key:secret"), PROJECT) == EncryptionKeys(
        "secret", (), ("project secret",), "secret"
    )
    assert list(tmp_path.iterdir()) == []


def test_file_stays_readable_after_a_setting_replaces_it(tmp_path: Path) -> None:
    generated = encryption_keys(settings(tmp_path), PROJECT)
    configured = encryption_keys(settings(tmp_path, ENCRYPTION_KEY=KEY), PROJECT)
    assert configured.current == KEY
    assert configured.previous == (generated.current, "secret")
    assert configured.ids == ("setting", "encryption.json 1", "project secret")


def test_first_key_of_a_ring_encrypts_and_all_decrypt(tmp_path: Path) -> None:
    ring = encryption_keys(settings(tmp_path, ENCRYPTION_KEY="2026:new, 2025:old:with=colon"), PROJECT)
    assert ring == EncryptionKeys(
        "new", ("old:with=colon", "secret"), ("2026", "2025", "project secret"), "old:with=colon", is_ring=True
    )
    assert "new" not in repr(ring)


def test_single_key_that_looks_like_a_ring_still_decrypts(tmp_path: Path) -> None:
    one = encryption_keys(settings(tmp_path, ENCRYPTION_KEY="a:b"), PROJECT)
    assert (one.current, one.previous) == ("b", ("a:b", "secret"))


@pytest.mark.parametrize("value", ["a:b,c", "c,a:b", "a:b,a:c", "a:b,", "a:b,c:"])
def test_ring_without_ids_or_with_equal_ones_is_an_error(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="different ids"):
        settings(tmp_path, ENCRYPTION_KEY=value)


@pytest.mark.parametrize("value", ["no-colon", "p,q", "bad id:key", ":key", "x" * 33 + ":key"])
def test_key_without_an_id_is_a_single_key(tmp_path: Path, value: str) -> None:
    single = encryption_keys(settings(tmp_path, ENCRYPTION_KEY=value), PROJECT)
    assert (single.current, single.is_ring) == (value, False)


def test_rotation_puts_a_new_key_in_front(tmp_path: Path) -> None:
    first = encryption_keys(settings(tmp_path), PROJECT)
    file = rotate_encryption_key(settings(tmp_path))
    second = encryption_keys(settings(tmp_path), PROJECT)
    assert second.current != first.current
    assert second.previous == (first.current, "secret")
    assert file.stat().st_mode & 0o777 == 0o600


def test_key_in_use_stays_however_often_the_key_is_rotated(tmp_path: Path) -> None:
    first = encryption_keys(settings(tmp_path), PROJECT)
    for _ in range(30):
        rotate_encryption_key(settings(tmp_path))
    assert first.current in encryption_keys(settings(tmp_path), PROJECT).previous


@pytest.mark.parametrize("values", [{"ENCRYPTION_KEY": KEY}, {"PROJECT": "p:key:secret"}])
def test_key_that_the_file_does_not_have_is_not_rotated(tmp_path: Path, values: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        rotate_encryption_key(settings(tmp_path, **values))
    assert f"BELLCAST_{next(iter(values))}" in refused.value.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", '{"keys":[]}', '{"keys":[""]}', '{"keys":[1]}'])
def test_broken_file_is_an_error_and_stays(tmp_path: Path, content: str) -> None:
    file = tmp_path / "encryption.json"
    file.write_text(content)
    for use in (
        lambda: encryption_keys(settings(tmp_path), PROJECT),
        lambda: rotate_encryption_key(settings(tmp_path)),
    ):
        with pytest.raises(SettingsError) as refused:
            use()
        assert "encryption.json" in refused.value.detail
        assert refused.value.detail.endswith("Restore your copy of it.")
    assert file.read_text() == content


def test_fields_that_another_version_wrote_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "encryption.json").write_text('{"version":2,"keys":["one"]}')
    assert encryption_keys(settings(tmp_path), PROJECT).current == "one"


def test_previous_keys_decrypt_and_the_current_one_encrypts() -> None:
    old, new = Encryption(b"old"), Encryption(b"new", [b"older", b"old"])
    text = old.encrypt("twilio://…", "providers//a")
    assert new.decrypt(text, "providers//a") == "twilio://…"
    assert new.key_index(text, "providers//a") == 2
    assert new.key_index(new.encrypt("x", "providers//a"), "providers//a") == 0
    for other, place in ((new, "providers//b"), (Encryption(b"new"), "providers//a")):
        with pytest.raises(ValueError, match="another"):
            other.decrypt(text, place)


@pytest.mark.parametrize("text", ["", "AAAA", "é", "A" * 40])
def test_text_that_was_never_encrypted_belongs_to_no_key(text: str) -> None:
    encryption = Encryption(b"new", [b"old"])
    assert encryption.key_index(text, "providers//a") is None
    with pytest.raises(ValueError, match="another"):
        encryption.decrypt(text, "providers//a")
