"""Seeded fuzzers: files that nobody would write, opened one after another by the code that reads files."""
