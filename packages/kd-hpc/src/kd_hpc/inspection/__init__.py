"""What a person asks about runs: status, why, what a job died of."""
