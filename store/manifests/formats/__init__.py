"""All formats, one file each: a module here that has a `FORMAT` is one, and needs no other entry.

At the top of each stands a verbatim record of its format.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from earshot.store.manifests.format import Format

_MODULES = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
FORMATS: tuple[Format, ...] = tuple(
    sorted((module.FORMAT for module in _MODULES), key=lambda form: form.name)
)
