"""Derive the default connection limit from the system's limit on open files: each live connection is an open file.

Without it, a server out of file descriptors would close new connections without an error, then lose its database."""

import resource

from msgspec.structs import replace

from bellcast.model.limits import Limits

# For the store, the broker, requests of the app, and new connections until they are rejected for lack of capacity.
RESERVED_FILES = 256


def with_connection_limit(limits: Limits) -> Limits:
    """Return the limits with a connection limit, unless the number of open files is unlimited."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits.connections or files == resource.RLIM_INFINITY:
        return limits
    return replace(limits, connections=max(files - RESERVED_FILES, files // 2))
