"""The data folder: for its owner only, with the credentials beside the store."""

import os
from pathlib import Path

from bellcast.errors import SettingsError
from bellcast.settings import Settings


def credentials(settings: Settings) -> Path:
    """Path of the credentials file created at first start."""
    return settings.store.data / "project.json"


def prepare(settings: Settings) -> None:
    """Make the folders that are missing. What this process writes from now on, in folders that were there too, only its
    owner can read: it is everybody's notifications."""
    os.umask(0o077)
    store = {settings.store.path.parent} if settings.store.is_file else set()
    for folder in {settings.store.data} | store:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"BELLCAST_DATA: {folder} cannot be made: {error.strerror}.") from None
