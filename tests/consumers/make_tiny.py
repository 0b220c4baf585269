"""Makes a tiny Qwen for the texts of an export, by its profile: `make_tiny.py EXPORT FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

if __name__ == "__main__":
    export, folder = map(Path, sys.argv[1:])
    profile = json.loads((export / "manifest.json").read_text())["config"]["profile"]
    if profile == "qwen2_5_omni":
        from tiny_omni import save
    else:
        from tiny_qwen import save
    rows = pq.read_table(export / "rows.parquet").to_pylist()
    save(folder, [row[name] for row in rows for name in ("system_prompt", "question", "answer")])
