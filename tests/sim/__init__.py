"""Whole-system trials on simulated cells."""
