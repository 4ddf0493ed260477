"""Telling a person, once, what they would otherwise find out by looking."""
