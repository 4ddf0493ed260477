"""Students in training: step, epoch, optimizer, watchdog."""
