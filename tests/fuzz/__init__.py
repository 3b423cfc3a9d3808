"""Readers of what others send or store, given what nobody should send or store."""
