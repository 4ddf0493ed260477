"""What a person does to runs: retry, cancel."""
