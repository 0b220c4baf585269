"""A DuckDB connection that takes a bounded part of the memory and goes on to the disk beyond it.

For what looks at all rows of a release at once: sorting keys, finding doubles, joining ids.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

MEMORY_MB = 256


@contextmanager
def bounded(memory_mb: int = MEMORY_MB) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to an empty database; what it puts on the disk is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="earshot-sql-") as folder,
        duckdb.connect(
            config={"memory_limit": f"{memory_mb}MB", "temp_directory": folder}
        ) as connection,
    ):
        yield connection
