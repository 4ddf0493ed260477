"""A fake PBS: real executables on a PATH, a state file, real jobs, and every recorded way to fail."""
