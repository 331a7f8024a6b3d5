"""Serving certificates: issued, stored, published, served and rotated. Only this package imports cryptography."""
