"""The schedulers there are, one file each: what a campaign calls them, and everything the others ask of one."""
