"""Snapshots as a running gateway has them: kept, opened, judged, asked beside the loop."""
