"""`sutler check-install`: does what is installed work, from one end to the other, and if not, what to type."""
