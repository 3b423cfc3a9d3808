"""Learning from labels: heads, thresholds under a floor, the gate."""
