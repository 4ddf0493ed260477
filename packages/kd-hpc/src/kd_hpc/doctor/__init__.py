"""What stands in the way of a campaign, found before it starts."""
