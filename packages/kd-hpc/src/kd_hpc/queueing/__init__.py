"""One tick and many: look, plan, act, show."""
