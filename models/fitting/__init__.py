"""From rows of normal operation to what a detector knows."""
