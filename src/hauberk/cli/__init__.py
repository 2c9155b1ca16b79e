"""The command line, one file per noun; nouns are imported lazily."""
