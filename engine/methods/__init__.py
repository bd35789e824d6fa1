"""One file per trainable idea."""
