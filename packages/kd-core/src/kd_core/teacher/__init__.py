"""The teacher of a student: found, checked, frozen."""
