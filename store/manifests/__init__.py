"""Readers of input files: good rows go on, each bad row becomes a fault with place, value, remedy.

A format is one file in `formats/`. Never drops a row silently and never mends one.
"""

from earshot.store.manifests.boxes import BoxSet, FrameBoxes
from earshot.store.manifests.faults import Fault, fault_counts
from earshot.store.manifests.format import BoxFormat, Format, VideoFormat
from earshot.store.manifests.formats import FORMATS
from earshot.store.manifests.manifest import Manifest
from earshot.store.manifests.read import read_boxes, read_manifest

__all__ = [
    "FORMATS",
    "BoxFormat",
    "BoxSet",
    "Fault",
    "Format",
    "FrameBoxes",
    "Manifest",
    "VideoFormat",
    "fault_counts",
    "read_boxes",
    "read_manifest",
]
