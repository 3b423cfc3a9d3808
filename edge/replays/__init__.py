"""The engine over what is past: to measure it, or to say why."""
