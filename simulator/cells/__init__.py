"""Simulated cells: machines with their signals, faults, work and the texts that go with them."""
