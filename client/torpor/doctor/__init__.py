"""What `torpor doctor` looks at, one check a row: what was found, what it means, the command that mends it."""
