"""The loop, what it keeps and says, and what watches over it."""
