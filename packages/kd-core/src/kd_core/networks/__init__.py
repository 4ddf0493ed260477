"""Networks that are no ResNet of `kd_core.models`, one file each, named in the catalogue."""
