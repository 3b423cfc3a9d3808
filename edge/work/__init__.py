"""What work is open and what it may disturb; what named people may do."""
