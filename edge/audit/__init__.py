"""The audit trail and signatures."""
