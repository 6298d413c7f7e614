"""Synthetic people in motion, and the pictures of them."""
