"""`python -m torpor`: the command, where the script is not on the PATH."""

import sys

from torpor.quick import main

main(sys.argv)
