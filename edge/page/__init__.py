"""The operator's page: a process of its own, one more subscriber, and a reader of what is kept."""
