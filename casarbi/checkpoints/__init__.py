"""Weights files read and written as data: no code in a file is ever run."""

from casarbi.checkpoints.header import read_config, read_table, weights_header
from casarbi.checkpoints.loading import load_new, load_strict
from casarbi.checkpoints.reading import Checkpoint, read_checkpoint
from casarbi.checkpoints.state import State, examples, find_state, read_state, strip_prefix
from casarbi.checkpoints.writing import halved, write_checkpoint, write_weights

__all__ = [
    "Checkpoint",
    "State",
    "examples",
    "find_state",
    "halved",
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
