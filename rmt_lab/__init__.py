"""Random matrix theory for deep networks: noise laws, spectra, power-law fits and finger fixing.

Names load on first use, so that ``import rmt_lab`` stays light; they are listed in ``__init__.pyi`` alone.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
