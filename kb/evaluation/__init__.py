"""How well a folder is searched."""
