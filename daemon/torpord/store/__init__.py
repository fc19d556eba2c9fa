"""The store: one SQLite file, one connection, one job at a time."""
