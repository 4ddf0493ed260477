"""Images from their published files to batches on the training device."""
