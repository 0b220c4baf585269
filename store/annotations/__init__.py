"""Annotations of others as tables of ours, and back: what `earshot convert` knows."""

from earshot.store.annotations.exchange import EXCHANGES, Exchange, Report, convert
from earshot.store.annotations.tables import Tables, read_tables, write_tables

__all__ = [
    "EXCHANGES", "Exchange", "Report", "Tables", "convert", "read_tables", "write_tables",
]  # fmt: skip
