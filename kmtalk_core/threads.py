"""One thread for linear algebra: on speech its threads spin more than they work."""

import os


def one_thread() -> None:
    """Have numpy, and what this process starts, use one thread; to be called before numpy is imported.

    Whoever has set the variables keeps what was set. PyTorch, which large networks need many threads for, heeds none.
    """
    for library in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS"):
        os.environ.setdefault(library, "1")
