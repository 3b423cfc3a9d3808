"""Tags to samples on the bundle's grid, what they say of their sensors, and their scores."""
