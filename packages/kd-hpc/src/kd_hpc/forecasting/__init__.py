"""When a campaign will be done."""
