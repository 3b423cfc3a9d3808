"""What a plant has renamed, rescaled or re-typed since its detector was fitted: proposals only."""
