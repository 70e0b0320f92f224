from .mixer import Mixture, generate_mixture_recipes, synthesize_mixtures
from .synthetic import make_rare_events
