"""Mutation testing of kd_core: small faults put into its source one by one, and whether a test notices."""
