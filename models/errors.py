"""Errors of the models package: each says what is wrong, where, and what to do about it."""

from __future__ import annotations


class ModelError(Exception):
    """Training data, a bundle or the input of a detector cannot be used."""
