"""A bf16 graph where nothing computes in bf16: ONNX Runtime's CPU provider converts such numbers, and has no product.

Every node computes in fp32 on numbers that bf16 holds, and its result is rounded to bf16, to nearest, ties to even.
GPUs add up their products in fp32, too; the order of the terms, and so the last bit, is the machine's.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export.graph.decision_head import load_onnx
from export.graph.onnx_export import save_onnx
from export.model_folder import ModelFolder
from export.scoring.batch import Batch
from export.scoring.runtimes import Outputs, open_session, run_session

HOW = "each bf16 operator computed in fp32 on numbers rounded to bf16, and its result was rounded to bf16"


class EmulatedBf16:
    """The bf16 model of a folder, emulated in ONNX Runtime on the CPU.

    Args:
        model: that holds it.
        threads: threads for one operator; 0 leaves the choice to ONNX Runtime.

    Raises:
        InputError: there is none, the file was changed, or ONNX Runtime does not take its emulation.
    """

    def __init__(self, model: ModelFolder, *, threads: int = 0) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "emulated.onnx"
            save_onnx(emulated(load_onnx(model.onnx_file("bf16"))), path)
            self.session = open_session(path, threads=threads)
        self.name = f"onnxruntime-{onnxruntime.__version__}-cpu-bf16-emulated"

    def run(self, batch: Batch) -> Outputs:
        """Score one batch."""
        return run_session(self.session, batch)


def emulated(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model that holds its bf16 tensors in fp32, under their names, rounded to bf16."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    rounded = {value.name for value in inferred if value.type.tensor_type.elem_type == TensorProto.BFLOAT16}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.value_info[:]
    for constant in made.graph.initializer:
        if constant.data_type == TensorProto.BFLOAT16:
            values = numpy_helper.to_array(constant).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    for node in model.graph.node:
        names = [name for name in node.output if name in rounded]
        if node.op_type == "Cast" and names:
            made.graph.node.extend(_rounding(node.input[0], names[0]))
            continue
        wide = onnx.NodeProto()
        wide.CopyFrom(node)
        for place, name in enumerate(node.output):
            if name in rounded:
                wide.output[place] = f"{name}.wide"
        made.graph.node.append(wide)
        for name in names:
            made.graph.node.extend(_rounding(f"{name}.wide", name))
    return made


def _rounding(source: str, made: str) -> list[onnx.NodeProto]:
    """From fp32 to bf16 and back; ONNX Runtime drops no such pair."""
    narrow = f"{made}.narrow"
    return [
        helper.make_node("Cast", [source], [narrow], name=narrow, to=TensorProto.BFLOAT16),
        helper.make_node("Cast", [narrow], [made], name=f"{made}.back", to=TensorProto.FLOAT),
    ]
