"""Files that several processes on several machines share: published whole, sealed, locked, fenced."""
