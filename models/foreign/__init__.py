"""Models of others: read, tried, calibrated, part of a bundle."""
