"""Checks tasks against the labeling config by Label Studio's own rules, those of label-studio-sdk.

The open server takes any prediction in: what its rules would refuse is found by the annotators. The
SDK is of the extra `inspect`, and is asked here alone: to import it takes seconds and 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from earshot.errors import ConfigError, ItemError

Check = Callable[[Mapping[str, Any]], None]


def task_check(config: str) -> Check:
    """Return what raises ItemError, `bad_prediction`, for a task whose prediction does not fit.

    Args:
        config: the labeling config as XML.

    Raises:
        ConfigError: if label-studio-sdk is not installed, or refuses the config.
    """
    try:
        from label_studio_sdk.label_interface import LabelInterface
    except ImportError as error:
        raise ConfigError(
            "label-studio-sdk is not installed: expected it for --check; pip install "
            "'earshot[inspect]', or leave --check out"
        ) from error
    interface = LabelInterface(config)

    def check(task: Mapping[str, Any]) -> None:
        for prediction in task["predictions"]:
            if said := interface.validate_prediction(prediction, return_errors=True):
                raise ItemError("bad_prediction", f"{'; '.join(said)}; mend the config", said[0])

    return check
