"""CasArbi: a self-cascaded diffusion model for arbitrary-scale super-resolution, and its SR interface."""

__version__ = "0.1.0"
