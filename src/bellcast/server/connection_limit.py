"""The default connection limit, from the system's limit on open files: each live connection is an open file.

Without it, a server out of file descriptors would close new connections without an error, then lose its database."""

import resource

# For the store, the broker, requests of the app, and new connections until they are rejected for lack of capacity.
RESERVED_FILES = 256


def default_connections() -> int:
    """Return the connections of this process without a configured limit; 0 if the number of open files is unlimited."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if files == resource.RLIM_INFINITY else max(files - RESERVED_FILES, files // 2)
