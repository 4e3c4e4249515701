"""Output of `bellcast secrets`."""

from bellcast.cli import store


def test_unused_key_is_not_called_removable(capsys):
    """The project secret is listed as a key too; older backups may need any key."""
    keys = [
        {"id": "2026", "secrets": 1, "is_current": True},
        {"id": "project secret", "secrets": 0, "is_current": False},
    ]
    store.show_usage({"keys": keys, "unreadable": 0})
    assert capsys.readouterr().out == "2026\t1 secret\tencrypts\nproject secret\t0 secrets\tnot in use\n"
