"""What two or more stages share: records, store, batches, metrics, losses, training, predictions.

Imports no stage. Tensor letters used everywhere: B batch, T frames, R rgb, A audio, C classes,
K clusters or top-k (the file says which), W width, N videos.
"""

import os
import signal
import sys

__version__ = "0.2.0"

# Of `python -m`: imports take a second, in which Ctrl-C would end in a traceback.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # until yt8m.base.cli.run
