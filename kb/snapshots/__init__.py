"""One immutable state, published whole, and kept up with its folder."""
