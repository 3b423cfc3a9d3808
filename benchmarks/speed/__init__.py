"""What things cost on this machine, as ratios of one run: `andon bench speed` and `make bench`."""
