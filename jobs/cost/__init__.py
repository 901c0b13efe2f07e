"""What a plan takes: hours, disk and memory."""
