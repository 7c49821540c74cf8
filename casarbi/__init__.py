"""CasArbi: a self-cascaded diffusion model for arbitrary-scale super-resolution, and its SR interface."""

from casarbi.sr import SRModel, create_model

__all__ = ["SRModel", "create_model"]

__version__ = "0.1.0"
