"""Representation learning on image folders: data, models, training, evaluation. Knows no screen."""

import os

# Waiting threads sleep instead of spinning. Without this, torch on a machine that also does other work was
# measured ten times slower. It has to be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
