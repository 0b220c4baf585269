"""An owner that is gone is told from one that still works."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from earshot.tasks.publish_release.marker import STALE_AFTER_S, Marker

MINE = Marker.mine("yard")


def test_a_marker_is_read_back_from_its_name():
    """Everything that it says."""
    assert Marker.parse(MINE.text) == MINE


@pytest.mark.parametrize(
    "text", ["yard-v1", ".publishing", ".publishing~yard~host~x~t~5", ".publishing~a~b~1~c~d"]
)
def test_other_names_are_no_markers(text):
    """They are left alone."""
    assert Marker.parse(text) is None


def test_my_own_publication_is_alive():
    """Another thread of this process may be at it."""
    assert not MINE.is_over()


def test_a_number_that_was_another_process_before_is_over():
    """In containers every process has the same number."""
    assert replace(MINE, token="0").is_over()


def test_a_dead_process_of_this_host_is_over_and_a_live_one_is_not():
    """Asked of the system, not guessed from the age."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    marker = replace(MINE, pid=child.pid)
    assert not marker.is_over()
    child.communicate(b"\n", timeout=30)
    assert marker.is_over()


def test_another_host_is_believed_for_a_day():
    """Nobody here can see its processes."""
    far = replace(MINE, host="elsewhere")
    assert not far.is_over()
    assert replace(far, started_at_s=far.started_at_s - int(STALE_AFTER_S) - 1).is_over()
