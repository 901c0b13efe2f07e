"""Settings that are numbers."""

from yt8m.base.cli import InputError


def number(name: str, text: str) -> float:
    """InputError unless the text is a number."""
    try:
        value = float(text if text.isascii() and "_" not in text else "nan")
    except ValueError:
        value = float("nan")
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError(f"{name} {text}: a number is needed")
    return value


def whole(name: str, text: str, least: int) -> int:
    """InputError unless the text is a whole number, `least` or more."""
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise InputError(f"{name} {text}: a whole number is needed, {least} or more")
    return int(text)
