"""The generators of the pages in ``docs`` whose content comes from the program: ``python -m tools.docs``."""
