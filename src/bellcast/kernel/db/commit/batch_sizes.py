"""Batch sizes of the write pipeline, with measurements. Only `batch` divides rows."""

from typing import NamedTuple

# A command of at most this many rows is small: it runs before bulk work and wakes a writer that is backing off.
SMALL_ROWS = 32
# Rows per queue entry, about 1 ms. Between two entries the queue serves other tenants, so a single send waits for at
# most one entry while another tenant sends thousands.
ENTRY_ROWS = 25
# Rows per executemany or lookup by name, about 1 ms on the event loop (SQLite) or of PostgreSQL's time.
STATEMENT_ROWS = 100
# Inboxes per transaction that materializes announcements: 5 to 8 ms, so that sends run in between.
MATERIALIZE_INBOXES = 500


class BatchLimits(NamedTuple):
    """Maximum rows of a batch, which shares one transaction, and of commands merged into one script or statement. The
    contended limits apply while small commands arrive."""

    small: int
    bulk: int
    contended_bulk: int
    merged: int
    contended_merged: int


# bulk: SQLite writes a page once for all rows of a commit that lie in it, so a row of 4,000 costs a third of a row of
# 500; but small commands that arrive during it wait for all of them. merged: 1,000 rows take about 10 ms, and each inbox
# is read and updated once for all its rows.
SQLITE = BatchLimits(small=256, bulk=4_000, contended_bulk=ENTRY_ROWS, merged=1_000, contended_merged=ENTRY_ROWS)
# merged: 300 rows take PostgreSQL 10 ms and this process 2 ms; 25 rows take 1 ms and 0.2 ms. bulk: missing
# recipients are created once for the whole batch.
POSTGRES = BatchLimits(small=256, bulk=1_000, contended_bulk=1_000, merged=300, contended_merged=ENTRY_ROWS)

# How long a batch of small commands accepts further ones: the first waits for the last.
SMALL_BATCH_SECONDS = 0.008
