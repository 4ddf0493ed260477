"""One module a command; heavy imports only inside the command bodies."""
