"""What a person reads in the end: a run's tables and its report, in one HTML file."""
