"""Synthetic people in motion, and the images of them."""
