"""`sutler doctor`: what is amiss with pulling images, why, and what to type."""
