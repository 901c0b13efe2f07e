"""One file a part of `make bench`: `figures(toy, folder)` gives its list of Figures."""
