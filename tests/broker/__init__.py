"""Tests against a real mosquitto."""
