"""Recordings and simulated cells, replayed over MQTT as a plant would publish them."""
