"""`python -m torpord`: the same as the command `torpord`."""

from __future__ import annotations

import sys

from torpord.cli import main

if __name__ == "__main__":
    sys.exit(main())
