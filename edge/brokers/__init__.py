"""Connections to brokers: MQTT and TLS, what comes in and waits, what goes out, who may do what."""
