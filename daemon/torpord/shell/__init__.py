"""The imperative shell: what carries out the effects of decisions, one duty a module."""
