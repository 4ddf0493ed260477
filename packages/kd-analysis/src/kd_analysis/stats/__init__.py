"""Few-seed statistics: arrays in, frozen result objects out. Knows no paths, no tables, no figures."""
