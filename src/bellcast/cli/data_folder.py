"""The data folder with the store and the credentials, readable by its owner only."""

import os

from bellcast.kernel.errors import SettingsError
from bellcast.settings import Settings


def prepare(settings: Settings) -> None:
    """Create missing folders, and set the umask so that only the owner can read files of this process: they contain the
    notifications of all recipients."""
    os.umask(0o077)
    store = {settings.store.path.parent} if settings.store.is_file else set()
    for folder in {settings.store.data} | store:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "a file has this name" if isinstance(error, FileExistsError) else error.strerror
            raise SettingsError(
                f"BELLCAST_DATA: the folder {folder} cannot be created: {reason}. Choose another with --data."
            ) from None
