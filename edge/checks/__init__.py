"""`andon check`: what is wrong with an installation before it runs."""
