"""Words of the shop floor: kinds of work, times, names, doubt."""
