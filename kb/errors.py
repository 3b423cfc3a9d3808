"""Errors of the knowledge base: each says what is wrong, where, and what to do about it."""

from __future__ import annotations


class KnowledgeError(Exception):
    """A source, a snapshot or the text model cannot be used."""
