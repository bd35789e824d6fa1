"""Representation learning on image folders: data, models, training, evaluation. Knows no screen."""
