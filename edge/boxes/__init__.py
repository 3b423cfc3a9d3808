"""One gateway after another: backups, replacement boxes, and who of them may speak."""
