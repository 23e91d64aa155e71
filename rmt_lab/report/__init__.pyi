from .figures import new_canvas as new_canvas
from .figures import plot_layers as plot_layers
from .figures import save_figure as save_figure
from .page import write_page as write_page
from .text import csv as csv
from .text import json_line as json_line
from .text import summary as summary
from .text import table as table
