"""What turns, and condition features of vibration blocks."""
