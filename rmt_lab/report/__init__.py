"""What a whole model has to say: as text, as figures, as a page to hand in, and what it holds."""

import lazy_loader

# describing a checkpoint or printing a table draws nothing, and matplotlib takes a third of a second to import
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
