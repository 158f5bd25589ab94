"""Whether certd would take a configuration, before there is a file of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from certd.challenges import OPTIONS
from certd.config import load
from certd.errors import ConfigError
from certd.migrate import configuration
from certd.migrate.configuration import CaEntry, Entry
from certd.migrate.plans import Proposal
from certd.model.specs import Config


def problems(proposal: Proposal, cas: Sequence[CaEntry], entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """What `certd check` would say to a file of these: each key's path, and the sentence."""
    try:
        loaded(proposal, configuration.whole([], proposal.state_dir, cas, entries))
    except ConfigError as error:
        return [_parted(problem) for problem in error.problems]
    return []


def loaded(proposal: Proposal, text: str) -> Config:
    """Raises ConfigError, which names the file that there will be."""
    with tempfile.TemporaryDirectory(prefix="certd-import-") as directory:
        path = Path(directory) / "config.yaml"
        path.write_text(text, "utf-8")
        try:
            return load(path, solvers=OPTIONS)
        except ConfigError as error:
            problems = [line.replace(str(path), str(proposal.config_path)) for line in error.problems]
            raise ConfigError(problems) from None


def _parted(problem: str) -> tuple[str, str]:
    """``FILE:LINE: path.to.key: what is wrong`` without the place."""
    path, _, text = problem.partition(": ")[2].partition(": ")
    return path, text
