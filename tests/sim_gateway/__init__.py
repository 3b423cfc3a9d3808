"""The real gateway in a simulated world: one seed is one plant, network, disk and clock.

    python -m tests.sim_gateway 0:500       seeds from 0 to 499, in several processes
    python -m tests.sim_gateway 8127:8128   one of them again

`life` runs a seed, `checks` says what must hold, `mutations` plants bugs that it must find.
"""
