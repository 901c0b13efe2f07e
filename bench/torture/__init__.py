"""What a run survives: kills, full disks, damaged files, two makes at once, mutated records."""
