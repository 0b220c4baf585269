"""Finds the files of a model, a folder or an id of the Hugging Face hub, and their digest.

Gives a folder on the local disk; downloads what is not there yet. Loads nothing and needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from earshot.errors import InputError, MissingExtraError
from earshot.schemas.base import digest_of

# Everything that a model is made of; other formats of the same weights are left on the hub.
PATTERNS = ["*.safetensors", "*.json", "*.txt"]
# Of a text, where the model does not say otherwise.
MAX_TOKENS = 256
EXTRA = "pip install 'earshot[vision]'"


def check_extra() -> None:
    """Raise MissingExtraError where torch or transformers is not installed; loads neither."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{' and '.join(missing)} not installed; track.backend grounded_sam2 needs the extra "
            f'vision: {EXTRA}, or set track.backend = "synchrony"'
        )


def folder_of(model: str, field: str) -> Path:
    """Return the folder with a model's files.

    Args:
        model: a folder, or an id of the hub such as `facebook/sam2.1-hiera-large`.
        field: the setting that names it, for messages.

    Raises:
        InputError: there is no such folder, it has no weights, or the id can't be had.
    """
    place = Path(model).expanduser()
    if not place.is_dir():
        if place.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
            raise InputError(f"track.{field} = {model!r}: no such folder, and no id of the hub")
        place = _from_hub(model, field)
    for pattern in ("config.json", "*.safetensors"):
        if not any(place.glob(pattern)):
            raise InputError(
                f"track.{field} = {model!r}: {place} has no {pattern}; expected a folder as "
                "`save_pretrained` writes it"
            )
    return place


def on_this_machine(model: str) -> str:
    """Return the folder with a model's files, or "" where they would have to be downloaded."""
    place = Path(model).expanduser()
    if place.is_dir():
        return str(place)
    if find_spec("huggingface_hub") is None or model.count("/") != 1:
        return ""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return str(snapshot_download(model, allow_patterns=PATTERNS, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return ""


def torch_and_device() -> str:
    """Return torch's version and the GPU that it sees, or "" where torch is not installed."""
    if find_spec("torch") is None:
        return ""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{torch.__version__}, {gpu}"


def _from_hub(model: str, field: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=PATTERNS, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(model, allow_patterns=PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"track.{field} = {model!r}: its weights are not on this machine and can't be "
            f"downloaded ({why}); run `hf download {model}` where there is a network and copy the "
            f"folder, then set track.{field} to it"
        ) from error


def digest(folder: Path) -> str:
    """Return the digest of a model's files: names and contents, wherever they lie."""
    files = sorted({file for pattern in PATTERNS for file in folder.glob(pattern)})
    stamps = [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return digest_of([[file.name, _sha256(file, size, at)] for file, size, at in stamps])


@lru_cache(maxsize=256)
def _sha256(file: Path, size: int, modified_ns: int) -> str:
    """Return the sha256 of a file; read again only if its size or time changed."""
    del size, modified_ns
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_room(folder: str) -> tuple[int, Callable[[str], int]]:
    """Return how many tokens a detector's text may have, and what counts them.

    Without its files on this machine words and signs are counted, which for names is close.
    """
    place = Path(folder)
    if folder and (place / "tokenizer.json").is_file() and find_spec("tokenizers") is not None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
        limit = json.loads((place / "config.json").read_text()).get("max_text_len", MAX_TOKENS)
        return int(limit), lambda text: len(tokenizer.encode(text).ids)
    return MAX_TOKENS, lambda text: len(re.findall(r"\w+|[^\w\s]", text)) + 2
