"""Passages, vectors and words, ranked together; answers in sentences of the documents."""
