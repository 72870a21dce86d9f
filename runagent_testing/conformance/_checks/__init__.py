"""The checks, by what they are about; each module adds its requirements when it is imported."""
