"""Labelled windows to named failure modes."""
