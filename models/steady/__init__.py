"""The short way through detectors, in arrays: rows that have been complete for long."""
