"""What is on a broker: observations in, findings out, and a configuration written of them."""
