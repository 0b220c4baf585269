"""Finds a checkpoint as its authors publish it, with its configuration, and reads the latter.

Takes a file, a folder, or a place on the Hugging Face hub; gives paths on the local disk. Loads
nothing, needs no torch, and never runs a configuration, though Grounding DINO's is Python.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from earshot.errors import InputError
from earshot.tasks.track_objects.grounded_sam2.weights import (
    brief,
    hub_errors,
    local_first,
    not_here,
    snapshot,
)

SAM2_SIZES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
# Configurations that the package groundingdino-py has.
DINO_CONFIGS = {
    "groundingdino_swint_ogc": "GroundingDINO_SwinT_OGC.py",
    "groundingdino_swinb_cogcoor": "GroundingDINO_SwinB_cfg.py",
}
# What of a text encoder is needed: its weights are in the detector's checkpoint.
TEXT_FILES = ["config.json", "tokenizer*.json", "vocab.txt"]


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights, and the file that says what model they are of."""

    weights: Path
    config: Path


def detector_of(model: str, *, offline: bool = False) -> Checkpoint:
    """Return the checkpoint of a Grounding DINO.

    Args:
        model: a .pth file, a folder with one, or OWNER/NAME/FILE on the hub.
        offline: look on this machine alone.

    Raises:
        InputError: there is none, or it can't be had.
    """
    weights = _weights(model, "detector", ".pth", offline=offline)
    packaged = _packaged("groundingdino", "config", DINO_CONFIGS.get(weights.stem))
    return Checkpoint(weights, _config(weights, "detector", ".py", packaged))


def segmenter_of(model: str, *, offline: bool = False) -> Checkpoint:
    """Return the checkpoint of a SAM 2: a .pt file, a folder with one, or an id of the hub."""
    if not Path(model).expanduser().exists() and model.count("/") == 1:
        model = f"{model}/{model.split('/')[1].replace('-', '_')}.pt"
    weights = _weights(model, "segmenter", ".pt", offline=offline)
    family, _, size = weights.stem.partition("_hiera_")
    name = f"{family}_hiera_{SAM2_SIZES[size]}.yaml" if size in SAM2_SIZES else None
    packaged = _packaged("sam2", f"configs/{family}", name)
    return Checkpoint(weights, _config(weights, "segmenter", ".yaml", packaged))


def text_encoder_of(detector: Checkpoint, *, offline: bool = False) -> Path:
    """Return the folder with tokenizer and configuration of a detector's text encoder.

    It lies beside the checkpoint under its own name, such as `bert-base-uncased`, or on the hub.
    """
    name = str(settings_of(detector.config).get("text_encoder_type", "bert-base-uncased"))
    beside = detector.weights.parent / name.rsplit("/", 1)[-1]
    if (beside / "config.json").is_file():
        return beside
    try:
        return local_first(lambda local: snapshot(name, TEXT_FILES, local), offline=offline)
    except hub_errors() as error:
        if offline:
            raise not_here(name, f"copy its folder to {beside}") from error
        raise InputError(
            f"track.detector: its text encoder {name!r} is not on this machine and can't be "
            f"downloaded ({brief(error)}); run `hf download {name}` where there is a network and "
            f"copy the folder to {beside}"
        ) from error


def settings_of(config: Path) -> dict[str, Any]:
    """Return the assignments of literals in a configuration that is Python; runs nothing.

    Raises:
        InputError: it is no Python, or assigns what is no literal.
    """
    try:
        tree = ast.parse(config.read_text())
        return {
            target.id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"track.detector: {config} is no configuration of Grounding DINO ({brief(error)}); "
            "expected lines NAME = VALUE, such as those of GroundingDINO_SwinT_OGC.py"
        ) from error


def _weights(model: str, field: str, suffix: str, *, offline: bool) -> Path:
    place = Path(model).expanduser()
    if place.is_file():
        return place
    if place.is_dir():
        found = sorted(place.glob(f"*{suffix}"))
        if len(found) != 1:
            names = ", ".join(file.name for file in found) or "none"
            raise InputError(
                f"track.{field} = {model!r}: expected one {suffix} file in the folder, found "
                f"{names}; name the file itself"
            )
        return found[0]
    if place.is_absolute() or model.startswith((".", "~")) or model.count("/") != 2:
        raise InputError(
            f"track.{field} = {model!r}: no such file or folder, and no OWNER/NAME/FILE{suffix} "
            "of the hub"
        )
    return _from_hub(model, field, offline=offline)


def _from_hub(model: str, field: str, *, offline: bool) -> Path:
    from huggingface_hub import hf_hub_download

    repository, _, name = model.rpartition("/")
    try:
        return local_first(
            lambda local: Path(hf_hub_download(repository, name, local_files_only=local)),
            offline=offline,
        )
    except hub_errors() as error:
        if offline:
            raise not_here(f"{repository} {name}", f"set track.{field} to a file") from error
        raise InputError(
            f"track.{field} = {model!r}: its weights are not on this machine and can't be "
            f"downloaded ({brief(error)}); run `hf download {repository} {name}` where there is a "
            f"network and copy the file, then set track.{field} to it"
        ) from error


def _config(weights: Path, field: str, suffix: str, packaged: Path | None) -> Path:
    """Return the configuration beside a checkpoint, or the package's own for it."""
    beside = sorted(weights.parent.glob(f"*{suffix}"))
    if len(beside) == 1:
        return beside[0]
    if packaged is None:
        raise InputError(
            f"track.{field}: {weights} is no published checkpoint by its name and has "
            f"{len(beside)} {suffix} files beside it; put its configuration there, alone"
        )
    return packaged


def _packaged(package: str, folder: str, name: str | None) -> Path | None:
    """Return a configuration that a package brings, if it has it; does not import it."""
    spec = find_spec(package)
    if name is None or spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / folder / name
    return file if file.is_file() else None
