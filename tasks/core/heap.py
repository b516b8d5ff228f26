"""A process that will train -> the same, begun anew with a heap that has fewer holes.

in   the environment of a process, on Linux
out  with GLIBC_TUNABLES, which glibc reads when a process begins; one that is set already stays.
     With another libc it has no effect

PyTorch asks for memory at multiples of 64 bytes. glibc takes some more, gives the ends back as
blocks of a few bytes and keeps those for the next who wants so little (tcache); there they part the
holes that freed tensors leave, and a hole of just a tensor's size is too small for another one. In
a training on a CPU such holes were more than half as much as what was in use: benchmarks/train.py
measures both heaps. Tokenizing alone gets up to a tenth slower without that cache.
https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html
"""

import contextlib
import os
import sys

VARIABLE = "GLIBC_TUNABLES"
TUNED = {VARIABLE: "glibc.malloc.tcache_count=0"}
BEGUN = {"PAIRPRESS_BEGUN_ANEW": "1"}  # a Python with rights of its own is not given the other


def begin_anew() -> None:
    """Returns where there is nothing to change, or nothing can be changed."""
    if sys.platform == "linux" and not {VARIABLE, *BEGUN} & {*os.environ}:
        with contextlib.suppress(OSError):
            told = [sys.executable, *sys.orig_argv[1:]]
            os.execve(sys.executable, told, os.environ | TUNED | BEGUN)
