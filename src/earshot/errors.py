"""Every error that earshot raises on purpose.

EarshotError                    anything below; the CLI prints it without a traceback, exit code 1
├── InputError                  what the user gave can't be used (manifest, paths, arguments)
│   └── ConfigError             the configuration file or an override is wrong
├── MissingExtraError           an optional package is needed and not installed
├── DeviceError                 there is no such GPU, or too little memory on it
├── WorkspaceError              the workspace folder can't be read or written as it has to be
│   ├── PartError               a stage part is truncated, altered or of another schema
│   │   └── PartGoneError       it was compacted away since it was listed: look again
│   └── LeaseError              another live process holds what this one needs
├── ItemError                   one item is at fault: it goes to quarantine, the others go on
│   └── MediaError              a video or its sound can't be opened, decoded or trusted
├── BuildError                  a build as a whole can't go on
│   ├── ReconcileError          the ledger doesn't add up
│   └── FailureBudgetError      more items failed than the configured share
├── EndpointError               an LLM endpoint refuses every request: key, address, model, credit
├── ReleaseError                a gate refuses the release
└── ServerError                 a server that earshot starts doesn't come up or answer

A message has the value, what was expected, and the remedy.
"""

from __future__ import annotations


class EarshotError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the CLI ends with."""

    exit_code = 1


class InputError(EarshotError):
    """What the user gave can't be used."""

    exit_code = 2


class ConfigError(InputError):
    """The configuration file or an override is wrong."""


class MissingExtraError(EarshotError):
    """An optional package is needed and not installed."""


class DeviceError(EarshotError):
    """There is no such GPU, or too little memory on it: no video is at fault."""


class WorkspaceError(EarshotError):
    """The workspace folder can't be read or written as it has to be."""


class PartError(WorkspaceError):
    """A stage part is truncated, altered or of another schema."""


class PartGoneError(PartError):
    """A stage part was compacted away since it was listed: look again."""


class LeaseError(WorkspaceError):
    """Another live process holds what this one needs."""


class ItemError(EarshotError):
    """One item is at fault: it goes to quarantine under `code`, the others go on.

    Args:
        code: a code of `earshot.schemas.ledger.Code` whose status is `quarantined`.
        message: value, expectation, remedy.
        value: the offending value as text, kept in its own column of the ledger.
    """

    def __init__(self, code: str, message: str, value: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.value = value


class MediaError(ItemError):
    """A video or its sound can't be opened, decoded or trusted."""


class BuildError(EarshotError):
    """A build as a whole can't go on."""


class ReconcileError(BuildError):
    """The ledger doesn't add up."""


class FailureBudgetError(BuildError):
    """More items failed than the configured share."""

    exit_code = 3


class EndpointError(EarshotError):
    """An LLM endpoint refuses every request: wrong key, address or model, or no credit left."""


class ReleaseError(EarshotError):
    """A gate refuses the release."""


class ServerError(EarshotError):
    """A server that earshot starts doesn't come up or answer."""
