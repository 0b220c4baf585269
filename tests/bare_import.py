"""Run beside NumPy alone: what trainers import loads without any other dependency of earshot."""

import importlib.util
import pkgutil
import sys

import earshot.geometry
import earshot.rewards

for package in (earshot.geometry, earshot.rewards):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
missing = [n for n in ("pydantic", "pyarrow", "scipy") if importlib.util.find_spec(n) is None]
if len(missing) != 3:
    sys.exit(f"this environment is not bare: only {missing} are missing")
