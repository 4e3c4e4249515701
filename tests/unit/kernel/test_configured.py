"""Objects created from a setting that may change."""

from bellcast.kernel.configured import Configured


def test_object_is_made_again_when_its_setting_has_changed() -> None:
    settings: list[str | None] = [None]
    configured = Configured(lambda: settings[-1], lambda setting: [setting])
    assert configured.current is None
    settings.append("a")
    made = configured.current
    assert made == ["a"]
    assert configured.current is made
    settings.append("b")
    assert configured.current == ["b"]
    settings.append(None)
    assert configured.current is None
