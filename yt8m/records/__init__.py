"""TFRecords, from bytes to videos and back; descriptions, vocabularies, synthetic records."""
