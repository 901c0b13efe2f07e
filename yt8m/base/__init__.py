"""Command lines, files, arrays in files, configurations: what everything stands on."""
