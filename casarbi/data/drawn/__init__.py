"""Data sets drawn by a program: portraits and dead leaves."""
