"""`make chaos`: a real gateway and a real broker, killed, stopped and cut off at random, by a seed."""
