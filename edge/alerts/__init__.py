"""The life of an alert: what is said of it, to whom, in whose group."""
