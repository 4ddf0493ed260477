"""What a person reads and types: bars, spans of time, escapes, names nearly right, completion."""
