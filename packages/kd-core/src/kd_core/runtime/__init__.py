"""The machine: device, determinism, memory."""
