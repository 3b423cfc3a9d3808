"""What orders, calendars and logs propose, and what is withdrawn."""
