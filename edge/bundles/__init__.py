"""Bundles by hash: fitted, kept, promoted, watched, taken back."""
