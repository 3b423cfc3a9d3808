"""What survives a restart: journal, outbox, checkpoint, notes."""
