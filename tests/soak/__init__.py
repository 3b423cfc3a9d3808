"""`make soak`: one gateway for hours under load, swaps and reconnects, and what it grows by."""
