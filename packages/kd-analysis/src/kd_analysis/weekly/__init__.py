"""What happened in a week."""
