"""Other programs beside ours: the same recorded stream, the same core, in turn."""
