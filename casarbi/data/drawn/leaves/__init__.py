"""What a dead-leaves scene is made of: the shapes of its leaves, and how they look."""
