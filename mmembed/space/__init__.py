"""A space: encoders and heads into one shared space of vectors, saved as a folder."""
