"""The store: one SQLite file, one connection, one thread."""
