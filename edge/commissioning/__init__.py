"""The way of an asset into service: first fit, words of acceptance."""
