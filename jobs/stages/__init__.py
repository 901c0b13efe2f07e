"""The jobs of a plan, stage by stage: which command makes which files of which."""
