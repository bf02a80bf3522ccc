"""Seeded damage to every kind of file that users bring, and what becomes of it: see ``python -m dev.mutate``."""
