"""What a campaign file may hold, and how its lines become runs: read, explained where wrong, bounded."""
