"""Files decoded and preprocessed in guarded processes, which never load torch."""
