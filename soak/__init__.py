"""What takes long to show: the same code as the short versions in tests/, with other numbers. `make soak` runs it.

A part is a module with a function `soak(for_s)`: it returns what it has counted, and raises AssertionError where torpor
did not keep what it promises. `run.py` has the list of them, and writes a record of each.
"""
