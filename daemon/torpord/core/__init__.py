"""The pure core: what is true, what may happen, and what follows. No clock, no file, no task."""
