"""How much work a function does, the same on every machine however busy it is."""

import sys


def calls(function):
    """How many functions are called meanwhile in this thread, those written in C included."""
    n = 0

    def count(frame, event, arg):
        nonlocal n
        n += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return n
