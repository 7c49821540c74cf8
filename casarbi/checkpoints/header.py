"""What the header of a weights file says: the method and the configuration of its network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from casarbi.checkpoints.bounds import check_settings
from casarbi.checkpoints.reading import Checkpoint
from casarbi.checkpoints.safetensors_files import parse_json
from casarbi.errors import CasarbiError


def weights_header(method: str, config: Mapping[str, Any]) -> dict[str, str]:
    """What the header of a weights file must say so that it can be loaded."""
    return {"method": method, "config": json.dumps(dict(config))}


def read_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the configuration that `write_weights` wrote into the header; raises CasarbiError if there is none."""
    return read_table(checkpoint, "config")


def read_table(checkpoint: Checkpoint, name: str) -> Mapping[str, Any]:
    """Return the JSON table that the header has under a name; its values may be of any kind, but not too many or large.

    Raises:
        CasarbiError: if there is none, or `casarbi.checkpoints.bounds.check_settings` refuses it.
    """
    try:
        table = parse_json(checkpoint.metadata.get(name, ""))
    except (ValueError, RecursionError):  # not JSON, a number with too many digits, or nested too deeply
        table = None
    if not isinstance(table, Mapping):
        raise CasarbiError(f"{checkpoint.path} has no {name} in its header that is a JSON table: get the file again.")
    check_settings(table, str(checkpoint.path))
    return table
