"""The command `torpor`."""


def main(argv: list[str]) -> int:
    """Run."""
    raise SystemExit(f"not yet {argv}")
