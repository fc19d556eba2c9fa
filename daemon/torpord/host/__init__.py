"""Everything that touches the machine: clocks, locks, sockets, signals, files, processes."""
