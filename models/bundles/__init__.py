"""Bundles: joined, kept, checked, described."""
