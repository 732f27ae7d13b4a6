"""Model families: transformers, tokenizers, presets and weights. Importing this package imports no torch."""
