"""What `casarbi upscale` does: which files, how large, where to, how long, and the work itself."""
