"""The control socket: accepting, framing, limits, and one row a method."""
