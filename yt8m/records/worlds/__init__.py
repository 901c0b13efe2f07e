"""What generated records are drawn from: topics of videos, and what their clips look like."""
