"""Weights files read and written as data: no code in a file is ever run."""

from casarbi.checkpoints.weights_file import (
    Checkpoint,
    State,
    examples,
    fact,
    find_state,
    load_new,
    load_strict,
    read_checkpoint,
    read_config,
    read_state,
    read_table,
    strip_prefix,
    weights_header,
    write_checkpoint,
    write_weights,
)

__all__ = [
    "Checkpoint",
    "State",
    "examples",
    "fact",
    "find_state",
    "load_new",
    "load_strict",
    "read_checkpoint",
    "read_config",
    "read_state",
    "read_table",
    "strip_prefix",
    "weights_header",
    "write_checkpoint",
    "write_weights",
]
