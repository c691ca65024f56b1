"""What a segment costs on each device: one target per file."""
