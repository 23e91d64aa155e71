from . import atlas as atlas
from . import ensembles as ensembles
from . import laws as laws
from . import plotting as plotting
from . import trainings as trainings
from .analysis import analyze as analyze
from .bulk import fit_bulk as fit_bulk
from .ensembles.spectra import gaussian_spectrum as gaussian_spectrum
from .laws.generalised_mp import GeneralisedMarchenkoPastur as GeneralisedMarchenkoPastur
from .laws.marchenko_pastur import MarchenkoPastur as MarchenkoPastur
from .laws.tracy_widom import TracyWidom as TracyWidom
from .plotting.groups import plot_ecdf as plot_ecdf
from .plotting.groups import plot_pairs as plot_pairs
from .plotting.models import plot_alphas as plot_alphas
from .plotting.models import plot_layer_grid as plot_layer_grid
from .plotting.spectra import plot_spectrum as plot_spectrum
from .plotting.style import alt_text as alt_text
from .plotting.tails import plot_fingers as plot_fingers
from .plotting.tails import plot_scan as plot_scan
from .plotting.tails import plot_tail as plot_tail
from .spectrum import Spectrum as Spectrum
from .tails.fingers import fix_fingers as fix_fingers
from .tails.power_law import fit_power_law as fit_power_law
from .tails.truncated import fit_truncated_power_law as fit_truncated_power_law
from .weights.read import iter_weights as iter_weights

__version__: str
