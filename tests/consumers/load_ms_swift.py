"""Loads rows by ms-swift's own loader, prints them as JSON: `load_ms_swift.py FILE`."""

from __future__ import annotations

import json
import sys

from swift.dataset import load_dataset

if __name__ == "__main__":
    options = {"split_dataset_ratio": 0, "shuffle": False, "remove_unused_columns": False}
    data, _ = load_dataset([sys.argv[1]], **options)
    print(json.dumps(list(data)))
