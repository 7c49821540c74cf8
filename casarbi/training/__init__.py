"""One trainer for every trainable network: presets, batches, weight average, exact resume, logs."""
