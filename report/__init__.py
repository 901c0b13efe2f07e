"""What a person looks at in the end: a run's summary, its table, the check of the denoising."""
