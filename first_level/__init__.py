"""Stage 2: many different models, each trained five times, and their out-of-fold predictions."""
