"""The loop, its connection, and what watches over both."""
