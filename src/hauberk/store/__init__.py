"""SQL state, inbox, event lake, blobs and keys: embedded defaults behind the ports."""
