"""Methods CasArbi is compared with, each one an SRModel that loads the official checkpoints."""
