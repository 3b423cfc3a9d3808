"""What people said of intervals, in one file."""
