"""The morning page: how a campaign stands, as one HTML file that needs nothing else."""
