"""Image folders in, checked data sets out."""
