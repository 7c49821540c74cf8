"""CasArbi (arXiv 2506.07813), and nothing else."""
