"""JEOL .pts files: a stream of X-ray events, frame after frame."""
