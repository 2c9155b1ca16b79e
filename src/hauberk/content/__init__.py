"""What the engines know, one YAML a piece, and its parsers over bytes."""
