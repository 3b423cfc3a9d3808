"""Tables proposed from manuals, for a person to approve."""
