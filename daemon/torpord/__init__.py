"""The torpor daemon: one writer that owns one home (`daemon/ARCHITECTURE.md`)."""
