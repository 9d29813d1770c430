"""Classification from vectors: what is learnt, from which rows, and how the answers are scored."""
