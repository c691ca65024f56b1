"""The front end: a segment of ECG becomes an index map, in float64 (reference) and in integers."""
