"""Each live connection is an open file: where no bound on connections is set, the system's limit on files is one.

Without it a server that has none left would close newcomers without a word, and lose its database with the next one."""

import resource

from msgspec.structs import replace

from bellcast.model.limits import Limits

# The store's, the broker's, requests of the app, and newcomers until they have been told that there is no room.
RESERVED_FILES = 256


def with_connection_limit(limits: Limits) -> Limits:
    """The limits, with a bound on connections unless the system has none."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits.connections or files == resource.RLIM_INFINITY:
        return limits
    return replace(limits, connections=max(files - RESERVED_FILES, files // 2))
