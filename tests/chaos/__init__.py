"""`make chaos`: a real gateway and a real broker, killed, stopped and cut off, by a seed."""
