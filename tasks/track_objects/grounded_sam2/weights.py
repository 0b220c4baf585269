"""Finds the files of a model, a folder or an id of the Hugging Face hub, and their digest.

Gives a folder on the local disk; downloads what is not there yet. Loads nothing and needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from earshot.errors import InputError, MissingExtraError
from earshot.schemas.base import digest_of

# Everything that a model is made of; other formats of the same weights are left on the hub.
PATTERNS = ["*.safetensors", "*.json", "*.txt"]
# Of a text, where the model does not say otherwise.
MAX_TOKENS = 256


def check_extra(
    backend: str = "grounded_sam2",
    extra: str = "vision",
    modules: Sequence[str] = ("torch", "transformers"),
) -> None:
    """Raise MissingExtraError where a backend's modules are not installed; loads none."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{' and '.join(missing)} not installed; track.backend {backend} needs the extra "
            f"{extra}: pip install 'earshot[{extra}]', or set track.backend = \"synchrony\""
        )


def folder_of(model: str, field: str, *, offline: bool = False) -> Path:
    """Return the folder with a model's files.

    Args:
        model: a folder, or an id of the hub such as `facebook/sam2.1-hiera-large`.
        field: the setting that names it, for messages.
        offline: look on this machine alone.

    Raises:
        InputError: there is no such folder, it has no weights, or the id can't be had.
    """
    place = Path(model).expanduser()
    if not place.is_dir():
        if place.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
            raise InputError(f"track.{field} = {model!r}: no such folder, and no id of the hub")
        place = _from_hub(model, field, offline=offline)
    for pattern in ("config.json", "*.safetensors"):
        if not any(place.glob(pattern)):
            raise InputError(
                f"track.{field} = {model!r}: {place} has no {pattern}; expected a folder as "
                "`save_pretrained` writes it"
            )
    return place


def _from_hub(model: str, field: str, *, offline: bool) -> Path:
    try:
        return local_first(lambda local: snapshot(model, PATTERNS, local), offline=offline)
    except hub_errors() as error:
        if offline:
            raise not_here(model, f"set track.{field} to a folder") from error
        raise InputError(
            f"track.{field} = {model!r}: its weights are not on this machine and can't be "
            f"downloaded ({brief(error)}); run `hf download {model}` where there is a network and "
            f"copy the folder, then set track.{field} to it"
        ) from error


def not_here(model: str, otherwise: str) -> InputError:
    """Return the error for what was looked for on this machine alone."""
    return InputError(f"not on this machine; run `hf download {model}`, or {otherwise}")


def local_first(get: Callable[[bool], Path], *, offline: bool) -> Path:
    """Return what `get(True)` finds on this machine, else what `get(False)` downloads."""
    try:
        return get(True)
    except hub_errors():
        if offline:
            raise
    return get(False)


def snapshot(model: str, patterns: list[str], is_offline: bool) -> Path:
    """Return the folder with those files of a model of the hub; raises one of `hub_errors`."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, allow_patterns=patterns, local_files_only=is_offline))


def hub_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's library raises for wrong names, absent files and no network."""
    if find_spec("huggingface_hub") is None:
        return (ImportError,)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    return (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError)


def brief(error: Exception) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def digest(folder: Path) -> str:
    """Return the digest of a model's files: names and contents, wherever they lie."""
    return digest_files(sorted({file for pattern in PATTERNS for file in folder.glob(pattern)}))


def digest_files(files: Sequence[Path]) -> str:
    """Return the digest of files: names and contents, wherever they lie."""
    stamps = [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return digest_of([[file.name, _sha256(file, size, at)] for file, size, at in stamps])


@lru_cache(maxsize=256)
def _sha256(file: Path, size: int, modified_ns: int) -> str:
    """Return the sha256 of a file; read again only if its size or time changed."""
    del size, modified_ns
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_room(folder: Path) -> tuple[int, Callable[[str], int]]:
    """Return how many tokens a text for a detector may have, and what counts them.

    Where the folder has no fast tokenizer words and signs are counted; for names that is close.
    """
    limit, tokenizer_file = MAX_TOKENS, folder / "tokenizer.json"
    if (folder / "config.json").is_file():
        limit = json.loads((folder / "config.json").read_text()).get("max_text_len", MAX_TOKENS)
    if tokenizer_file.is_file() and find_spec("tokenizers") is not None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        return int(limit), lambda text: len(tokenizer.encode(text).ids)
    return int(limit), lambda text: len(re.findall(r"\w+|[^\w\s]", text)) + 2
