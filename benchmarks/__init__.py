"""The harness: data sets, protocol, metrics, runner, store and experiments."""
