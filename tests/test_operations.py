"""What docs/operations.md tells people to type exists: commands, options, deployments, targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer.main
import yaml

from earshot.cli import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "operations.md").read_text()


def typed() -> list[list[str]]:
    """Every command of the page's console blocks, as words."""
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in blocks.splitlines() if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in lines]


def earshot_commands() -> list[list[str]]:
    """The arguments of those that call earshot."""
    found = [words for words in typed() if any(w.rpartition("/")[2] == "earshot" for w in words)]
    return [
        words[next(i for i, w in enumerate(words) if w.rpartition("/")[2] == "earshot") + 1 :]
        for words in found
    ]


@pytest.mark.parametrize("words", earshot_commands(), ids=" ".join)
def test_commands_and_options_exist(words: list[str]) -> None:
    """The command line takes each line of the page as it stands."""
    command: click.Command = typer.main.get_command(app)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context("earshot", words, resilient_parsing=False)


def test_deployments_services_and_targets_exist() -> None:
    """So do the deployments that are run, the services of compose.yaml, and the make targets."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    known = {
        f"{one['entrypoint'].rpartition(':')[2].replace('_', '-')}/{one['name']}"
        for one in deployments
    }
    assert set(re.findall(r"[a-z]+-[a-z]+/(?:default|gpu)", TEXT)) == known
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for words in typed():
        if words[:2] == ["docker", "compose"] and words[2] in ("exec", "stop"):
            assert next(w for w in words[3:] if not w.startswith("-")) in services
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)`", TEXT)) <= set(targets)
