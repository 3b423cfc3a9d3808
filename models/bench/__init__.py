"""Public benchmarks of anomaly detection, each scored by its own metric, written anew and proved.

docs/benchmarks.md says what each protocol is, and where its figures mislead.
"""
