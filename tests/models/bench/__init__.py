"""Tests of models/bench: each scorer by hand, by a slow twin, and by published figures."""
