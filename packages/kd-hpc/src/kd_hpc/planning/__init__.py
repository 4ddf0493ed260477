"""What to do about every run, and why: pure, no disk and no scheduler."""
