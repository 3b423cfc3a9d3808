"""Figures of a run against known truth."""
