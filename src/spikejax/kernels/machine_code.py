"""The conditions under which LLVM can compile kernels for XLA on this machine."""

from functools import cache


@cache
def why_no_machine_code() -> str | None:
    """The reason for which no kernel can be compiled for the CPU in this process, or None if one can be.

    Kernels need `llvmlite`, and an XLA that still calls functions of the version of its foreign function interface
    that they are written for. XLA is asked once, before the first kernel is compiled.
    """
    try:
        from spikejax.kernels.llvm import why_xla_refuses
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "llvmlite":
            raise
        return "llvmlite is not installed: install it with `pip install llvmlite`"
    except (ImportError, OSError) as error:  # llvmlite raises OSError for a library of LLVM that is missing or broken
        return f"llvmlite cannot be loaded: {error}"
    return why_xla_refuses()
