"""Errors of the knowledge base: each says what is wrong, where, and what to do about it."""

from __future__ import annotations


class KnowledgeError(Exception):
    """A folder of texts, a snapshot, a query or the text model cannot be used."""
