"""The causes of death there are. Each file holds some, and the witness who finds them."""
