"""Sound-event detection with scikit-learn's habits: R-CRNN (Kao et al., Interspeech 2018).

Recordings and lists of ``(onset, offset, label)`` in, events out::

    pipe = make_rcrnn_pipeline().fit(X, y)
    pipe.predict(X)  # [[Event(onset, offset, label, score), ...], ...]
"""

import lazy_loader

__version__ = "0.1.0"

# PyTorch and scikit-learn take seconds to import, so a module is loaded when a name in it is
# first asked for. The public names and their modules are listed once, in ``__init__.pyi``.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
