"""Files to texts and rows; approved tables."""
