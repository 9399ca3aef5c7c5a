"""A TensorRT engine on this machine's GPU, with the interface of ONNX Runtime's."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from export.graph.decision_head import FLAGS, LOGITS, PROBABILITIES
from export.model_folder import ModelFolder, pad_token_id, read_model_folder
from export.scoring.batch import Batch
from export.scoring.runtimes import Outputs
from export.tensorrt.cache import Engine, ensure_engine
from export.tensorrt.library import PORTABLE, Library, LibraryName, gpu_capability, open_library
from export.tensorrt.profiles import profile_of
from export.tensorrt.worker import ENGINE


class TensorRtRuntime:
    """TensorRT on a model folder or a release.

    The engine is the one of the cache that this TensorRT and GPU can run, of whatever sizes; where there is none it
    is built first.

    Args:
        model: a folder that `setpoint export` or `setpoint seal` wrote.
        precision: which of its ONNX files.
        engines: the cache, see `export.tensorrt.cache`.
        library: "auto" is TensorRT where it is installed, else TensorRT-RTX.

    Raises:
        InputError: there is no GPU or no TensorRT, a file is missing or changed, or TensorRT refuses the model.
    """

    def __init__(
        self,
        model: ModelFolder | str | Path,
        *,
        engines: Path,
        precision: str = "fp32",
        library: Literal["auto"] | LibraryName = "auto",
    ) -> None:
        folder = model if isinstance(model, ModelFolder) else read_model_folder(model)
        capability = gpu_capability()
        if capability is None:
            further = " and another precision, as ONNX Runtime has no bf16 on CPUs" if precision == "bf16" else ""
            raise InputError(
                f"a TensorRT engine runs on a CUDA GPU, and torch finds none here; use runtime=onnx{further}"
            )
        chosen = open_library(library)
        built = ensure_engine(
            engines,
            folder,
            precision,
            library=chosen,
            target=target_here(chosen, capability),
            profile=profile_of(folder.preprocessing),
            any_sizes=True,
        )
        if not built.record.outcome.built:
            words = built.record.outcome.words()
            raise InputError(f"{folder.folder}: {precision} for {chosen.name} {chosen.version}: {words}")
        self.contract = folder.contract
        self.profile = built.record.profile
        self.model_digest = built.record.model_digest
        self.policy_versions = folder.record.policy_versions
        self.preprocessing = folder.preprocessing
        self.tokenizer = folder.tokenizer()
        self.pad_token_id = pad_token_id(self.tokenizer)
        self.name = f"{chosen.name}-{chosen.version}-sm{capability.replace('.', '')}-{precision}"
        self.threads = 0  # the GPU takes one batch at a time
        self._device = _Device(chosen, built)

    def run(self, batch: Batch) -> Outputs:
        """Score one batch.

        Raises:
            InputError: it is larger or smaller than the engine takes.
        """
        arrays = batch.arrays()
        outside = self.profile.outside({name: array.shape for name, array in arrays.items()}, self.contract)
        if outside:
            raise InputError(
                f"the engine does not take {', '.join(outside)}; build one that does, e.g. "
                f"`setpoint engine {outside[0].split()[0]}=[fewest,typical,most]`"
            )
        outputs = self._device.run(arrays)
        return Outputs(
            outputs[LOGITS].astype(np.float32, copy=False),
            outputs[PROBABILITIES].astype(np.float32, copy=False),
            outputs[FLAGS].astype(np.bool_, copy=False),
        )


def target_here(library: Library, capability: str) -> str:
    """The target of engines that run on a GPU of this compute capability."""
    is_portable = library.name == "tensorrt-rtx" and float(capability) >= 8
    return PORTABLE if is_portable else capability


class _Device:
    """An engine in the memory of the GPU, held and handed over as torch tensors."""

    def __init__(self, library: Library, engine: Engine) -> None:
        import torch  # noqa: PLC0415

        torch.cuda.init()
        trt = library.module
        # TensorRT keeps no reference of its own to what made what.
        self._log = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine((engine.folder / ENGINE).read_bytes())
        if self._engine is None:
            raise InputError(f"{engine.folder}: {library.name} cannot load this engine; delete the folder")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise InputError(f"{engine.folder}: the GPU has not enough memory for this engine")
        self._stream = torch.cuda.Stream()
        names = [self._engine.get_tensor_name(place) for place in range(self._engine.num_io_tensors)]
        is_input = {name: self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        self._inputs = [name for name in names if is_input[name]]
        # TensorRT has no types of torch's, and numpy knows all of those that a contract has.
        self._outputs = {
            name: torch.from_numpy(np.zeros(0, trt.nptype(self._engine.get_tensor_dtype(name)))).dtype
            for name in names
            if not is_input[name]
        }

    def run(self, arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """The outputs of one batch, by name."""
        import torch  # noqa: PLC0415

        held: dict[str, Any] = {}
        with torch.cuda.stream(self._stream):
            for name in self._inputs:
                held[name] = torch.from_numpy(np.ascontiguousarray(arrays[name])).to("cuda")
                self._context.set_input_shape(name, tuple(held[name].shape))
                self._context.set_tensor_address(name, held[name].data_ptr())
            for name, dtype in self._outputs.items():
                shape = tuple(self._context.get_tensor_shape(name))
                # One more than it takes: an address is needed even where there is no band, and so no flag.
                buffer = torch.empty(int(np.prod(shape)) + 1, dtype=dtype, device="cuda")
                self._context.set_tensor_address(name, buffer.data_ptr())
                held[name] = buffer[:-1].view(shape)
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise RuntimeError("TensorRT could not run a batch of sizes that the engine takes")
            return {name: held[name].cpu().numpy() for name in self._outputs}
