"""Settings from TOML and CSV tables."""
