"""Reports for people: what happened in a shift or a month, from what a gateway keeps on disk."""
