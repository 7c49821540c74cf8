"""Picture files and pixels: reading, writing, names, colours, resizing."""
