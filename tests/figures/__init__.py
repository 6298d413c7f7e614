"""Labelled people for tests: moving figures, dotted images, and small data sets on disk."""
