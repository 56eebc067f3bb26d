"""What the GPU kernel of each cell asks of an H200: registers, memory for what they do not hold, width of its loads.

No GPU is needed: JAX lowers the kernels, Triton and the assembler in its package compile them for the chip. XLA
compiles them by a Triton of its own, so that figures on a GPU may differ a little.

    pip install triton==3.6.0                          # Linux, 180 MB; not among the baselines
    python benchmarks/gpu_code.py
    python benchmarks/gpu_code.py --tiny               # one cell
    python benchmarks/gpu_code.py --table results/gpu_code.json
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
from _cells_jax import fused_cells, make, per_neuron
from _report import choose_file, describe, write
from jaxlib.mlir import ir
from jaxlib.triton import dialect

import spikejax as sx
from spikejax.kernels import fused_scan

CAPABILITY = 90
"""Of an H200."""
SHAPE = (16, 64, 65536)
RESIDENT = 2048
"""Threads that a multiprocessor holds at most."""
REGISTERS = 65536
"""Registers that they share."""


class Kernel(NamedTuple):
    """A kernel in the language of Triton, and how it is to be compiled."""

    name: str
    code: str
    options: dict[str, int]


def variants(tiny: bool) -> dict[str, tuple[Any, dict[str, Any]]]:
    """What is compiled, by name: a cell and how `fused_scan` runs it."""
    cells = {"LIF": (sx.LIF(), {})} if tiny else {name: (make(name), {}) for name in fused_cells()}
    if tiny:
        return cells
    lif = sx.LIF()
    arrays = {
        f"{name}, arrays": (per_neuron(cell, SHAPE[-1]), run_options) for name, (cell, run_options) in cells.items()
    }
    ways = {
        "LIF, bfloat16": (lif, {"dtype": jnp.bfloat16}),
        "LIF, residuals x": (lif, {"residuals": "x"}),
        "LIF, residuals x, T = 32": (lif, {"residuals": "x", "steps": 32}),
        "LIF, residuals packed": (lif, {"residuals": "packed"}),
    }
    return cells | arrays | ways


def kernels(cell: Any, *, dtype: Any = jnp.float32, steps: int = SHAPE[0], **run_options: Any) -> Iterator[Kernel]:
    """The kernels of a forward and a backward pass, to the cell's arrays, its state and the input."""
    xs = jax.ShapeDtypeStruct((steps, *SHAPE[1:]), dtype)

    def both(cell: Any, key: Any, xs: Any, w: Any) -> Any:
        state = cell.init_state(xs.shape[1:], key=key)
        out, vjp = jax.vjp(lambda *at: fused_scan(*at, backend="triton", **run_options)[1], cell, state, xs)
        return out, [g for g in jax.tree.leaves(vjp(w)) if g.dtype != jax.dtypes.float0]

    out = jax.eval_shape(lambda *at: both(*at, jnp.zeros(xs.shape, dtype))[0], cell, jax.random.key(0), xs)
    traced = jax.jit(both).trace(cell, jax.random.key(0), xs, out)
    for call in _calls(traced.lower(lowering_platforms=("cuda",)).compiler_ir().operation):
        config = call.attributes["mhlo.backend_config"]
        options = {name: int(str(config[name]).split()[0]) for name in ("num_warps", "num_stages")}
        yield Kernel(ir.StringAttr(config["name"]).value, _text(config["ir"].value_bytes), options)


def _calls(operation: Any) -> Iterator[Any]:
    """The calls of Triton's kernels within an operation."""
    if operation.name == "stablehlo.custom_call" and "triton" in str(operation.attributes["call_target_name"]):
        yield operation
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield from _calls(inner.operation)


def _text(bytecode: bytes) -> str:
    with ir.Context() as context:
        dialect.register_dialect(context)
        context.load_all_available_dialects()
        return ir.Module.parse(bytecode).operation.get_asm()


def compiled(kernel: Kernel, folder: Path) -> dict[str, Any]:
    """What the chip's code of a kernel takes."""
    import triton
    from triton.backends.compiler import GPUTarget

    source, binary = folder / "kernel.ttir", folder / "kernel.cubin"
    source.write_text(kernel.code)
    binary.write_bytes(triton.compile(str(source), GPUTarget("cuda", CAPABILITY, 32), kernel.options).asm["cubin"])
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"

    def dump(what: str) -> str:
        return subprocess.run([tool, what, binary], capture_output=True, text=True, check=True).stdout

    usage = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", dump("-res-usage"))}
    code = dump("-sass")
    moves = Counter(_width(suffix) for suffix in re.findall(r"\b(?:LDG|STG)\.E([\w.]*)", code))
    threads = min(RESIDENT, REGISTERS // max(1, -(-usage["REG"] // 8) * 8))
    return {
        "kernel": kernel.name,
        "registers": usage["REG"],
        "spilled": usage["STACK"] + usage["LOCAL"],
        "instructions": len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?!NOP|BRA)", code, re.MULTILINE)),
        "moves": {str(width): count for width, count in sorted(moves.items())},
        "resident": threads // 128 * 128 / RESIDENT,
    }


def _width(suffix: str) -> int:
    """Bytes that a thread's access to memory moves, from what the name of the instruction ends in."""
    return next((int(part) // 8 for part in suffix.split(".") if part in ("64", "128")), 4)


def table(result: dict[str, Any]) -> str:
    """The figures in Markdown."""
    columns = "registers", "spilled", "narrowest move", "resident"
    head = ["", *(f"{way}: {what}" for way in ("forward", "backward") for what in columns)]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, programs in result["kernels"].items():
        rows.append([name])
        for one in programs:
            narrowest = min(map(int, one["moves"]))
            rows[-1] += [f"{one['registers']}", f"{one['spilled']} B", f"{narrowest} B", f"{one['resident']:.0%}"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", f"{versions}; commit {result['commit']}."])


def main() -> None:
    """Compiles all kernels and writes what they take, or prints the table of a result."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--out", type=Path, help="where to write the result (default: results/gpu_code.json)")
    arguments.add_argument("--tiny", action="store_true", help="shows only that it works; writes only to --out")
    arguments.add_argument("--table", type=Path, help="print the table of a result in Markdown, and compile nothing")
    options = arguments.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return
    try:
        out = choose_file(options.out, Path(__file__).parent / "results" / "gpu_code.json", tiny=options.tiny)
    except ValueError as error:
        arguments.error(str(error))
    result: dict[str, Any] = {"benchmark": "gpu_code", "shape": SHAPE, **describe(("spikejax", "jax", "triton"))}
    lowered = {name: list(kernels(cell, **run_options)) for name, (cell, run_options) in variants(options.tiny).items()}
    if find_spec("triton") is None:
        print("Lowered, but not compiled: triton is not installed: pip install triton==3.6.0")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRITON_CACHE_DIR"] = folder
        result["kernels"] = {name: [compiled(one, Path(folder)) for one in some] for name, some in lowered.items()}
    print(table(result))
    if out:
        write(result, out)
        print(f"Written to {out}")


if __name__ == "__main__":
    main()
