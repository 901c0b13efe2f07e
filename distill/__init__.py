"""Stage 4: the ensemble's soft labels -> one compact student -> an export that anyone can run.

Paper: label-denoising-large-ensembles, section 3 (figure 2). Order of the verbs: train or refit,
export.pack (with refitted models), export.write, export.evaluate; then predict and evaluate, for
whoever receives the export.
"""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
