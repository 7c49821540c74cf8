"""Data sets: readers of folders and procedural pictures, looked up by reference."""

from casarbi.data.base import Dataset
from casarbi.references import DATASETS


def create_dataset(reference: str) -> Dataset:
    """Build the data set that a reference such as `portraits?split=test&n=32` or `folder:/photos` names.

    Raises:
        CasarbiError: on an unknown name or option, a missing folder, or one without pictures.
    """
    return DATASETS.build(reference)
