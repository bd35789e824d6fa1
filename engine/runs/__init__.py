"""Recipes, run folders and the processes that carry them out."""
