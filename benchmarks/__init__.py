"""Measurements on this machine: how fast, how late, how heavy."""
