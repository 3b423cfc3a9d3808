"""`make newcomer`: a newcomer's quarter of an hour, timed from a clone."""
