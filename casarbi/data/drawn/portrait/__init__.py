"""The parts a procedural portrait is made of; `casarbi.data.drawn.portraits` puts them together."""
