"""Networks that are no ResNet of `kd_core.networks.resnet`, one file each, named in the catalogue."""
