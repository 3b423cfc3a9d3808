"""Recordings, foreign tables and how their columns map."""
