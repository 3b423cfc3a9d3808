"""The operator's page: its picture, and the page itself in a real browser."""
