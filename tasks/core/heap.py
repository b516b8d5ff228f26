"""A process that will train -> the same, begun anew with a heap that has fewer holes.

in   the environment of a process, on Linux
out  with GLIBC_TUNABLES, which glibc reads when a process begins; one that is set already stays

PyTorch asks for memory at multiples of 64 bytes. glibc takes some more, gives the ends back as
blocks of a few bytes and keeps those for the next who wants so little (tcache); there they part the
holes that freed tensors leave, and a hole of just a tensor's size is too small for another one. In
a training on a CPU such holes are about half as much as the tensors alive: benchmarks/train.py
measures both heaps. Tokenizing alone gets up to a tenth slower without that cache.
https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html
"""

import os
import sys

VARIABLE = "GLIBC_TUNABLES"
TUNED = {VARIABLE: "glibc.malloc.tcache_count=0"}


def begin_anew() -> None:
    """Returns where there is nothing to change. Of another libc the variable has no effect."""
    if sys.platform == "linux" and VARIABLE not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | TUNED)
