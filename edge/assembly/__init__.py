"""Bundle, snapshot and settings put together into an engine, and what tells them apart later."""
