"""What a detector is and how one is made: fit, thresholds, bundles, scoring."""
