"""What else hears what a gateway publishes: off until asked for, and never in its way."""
