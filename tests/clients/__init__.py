"""Andon's alerts on the screens of real products."""
