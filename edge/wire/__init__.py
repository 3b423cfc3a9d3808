"""Bytes to records and back. Payload formats live here and nowhere else."""
