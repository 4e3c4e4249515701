"""The default connection limit, derived from the system's limit on open files, since each live connection is an open
file. Without a limit, a server without free file descriptors would close new connections without an error, and then
lose its database."""

import resource

# Reserved for the store, the broker, requests of the app, and new connections until they are rejected for lack of
# capacity.
RESERVED_FILES = 256


def default_connections() -> int:
    """Return the connection limit of this process if none is configured; 0 if the number of open files is unlimited."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if files == resource.RLIM_INFINITY else max(files - RESERVED_FILES, files // 2)
