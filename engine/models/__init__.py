"""Backbones, heads and encoders."""
