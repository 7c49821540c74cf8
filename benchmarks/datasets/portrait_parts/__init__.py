"""The parts a procedural portrait is made of; `benchmarks.datasets.portraits` puts them together."""
