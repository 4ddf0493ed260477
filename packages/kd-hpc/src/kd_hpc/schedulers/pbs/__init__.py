"""OpenPBS and PBS Professional, 18 to 23."""
