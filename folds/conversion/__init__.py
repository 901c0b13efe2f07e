"""Own features and labels, from tables and numpy files, to records: python -m yt8m.convert."""
