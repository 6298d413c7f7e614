"""Measures of moving people from their keypoints: angles, lengths, speeds, counts. NumPy only.

Every function takes arrays of one person over F frames and K keypoints, NaN where a keypoint is
unknown, and returns NaN where a value cannot be known. Start reading at `person.py`.
"""
