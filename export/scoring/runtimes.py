"""What computes scores: the exported model in ONNX Runtime, or the trained network in torch. One interface."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto
from tokenizers import Tokenizer

from data.errors import InputError
from data.media import Preprocessing
from export.graph.contract import mismatches
from export.graph.decision_head import FLAGS, LOGITS, PROBABILITIES, load_onnx, model_digest, undecided
from export.model_folder import ModelFolder, no_tokenizer, pad_token_id, read_model_folder
from export.scoring.batch import Batch

# B batch, P policies, K bands

Provider = Literal["cpu", "cuda"]
Optimization = Literal["all", "extended", "basic"]
LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
}
RuntimeKind = Literal["auto", "onnx", "torch", "tensorrt"]
PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model says about B items.

    Attributes:
        logits: float32 [B, P], raw.
        probabilities: float32 [B, P], calibrated where the model is sealed, else sigmoid(logits).
        flags: bool [B, K], one a band; no columns where the model is not sealed.
    """

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    flags: NDArray[np.bool_]


class Runtime(Protocol):
    """A model ready to run, and what its callers must know to prepare its inputs and to label its outputs.

    Attributes:
        threads: that one batch keeps busy; 0: all cores.
    """

    name: str
    threads: int
    model_digest: str
    policy_versions: dict[str, str]
    preprocessing: Preprocessing
    tokenizer: Tokenizer
    pad_token_id: int

    def run(self, batch: Batch) -> Outputs:
        """Score one batch."""
        ...


class OnnxRuntime:
    """ONNX Runtime on a model folder.

    Args:
        model: a folder that `setpoint export` or `setpoint seal` wrote.
        precision: which of its ONNX files.
        provider: where to run; there is no silent fallback to another.
        threads: threads for one operator; 0 leaves the choice to ONNX Runtime.
        spinning: see `open_session`.
        optimization: likewise.

    Raises:
        InputError: a file is missing, changed, or not what the contract says; the provider is not there.
    """

    def __init__(
        self,
        model: ModelFolder | str | Path,
        *,
        precision: str = "fp32",
        provider: Provider = "cpu",
        threads: int = 0,
        spinning: bool = False,
        optimization: Optimization = "all",
    ) -> None:
        folder = model if isinstance(model, ModelFolder) else read_model_folder(model)
        path = folder.onnx_file(precision)
        graph = load_onnx(path)
        wrong = mismatches(folder.contract, graph)
        if wrong:
            raise InputError(f"{path}: not what contract.json says: {'; '.join(wrong)}")
        self.model_digest = model_digest(graph)
        if self.model_digest != folder.record.precisions[precision].model_digest:
            raise InputError(f"{path}: its model digest does not match model.json; export the model again")
        self.policy_versions = folder.record.policy_versions
        self.preprocessing = folder.preprocessing
        self.tokenizer = folder.tokenizer()
        self.pad_token_id = pad_token_id(self.tokenizer)
        try:
            self.session = open_session(
                path, provider=provider, threads=threads, spinning=spinning, optimization=optimization
            )
        except InputError as error:
            is_bf16 = any(each.data_type == TensorProto.BFLOAT16 for each in graph.graph.initializer)
            if not is_bf16 or error.__cause__ is None:  # the provider is not there
                raise
            others = ", ".join(name for name in folder.record.precisions if name != precision)
            raise InputError(
                f"{path}: ONNX Runtime {onnxruntime.__version__} cannot compute in bf16 with {PROVIDERS[provider]}; "
                f"score it with runtime=tensorrt on a CUDA GPU, or take another precision of this model: {others}"
            ) from error
        self.threads = threads if provider == "cpu" else 0
        self.name = f"onnxruntime-{onnxruntime.__version__}-{provider}-{precision}"

    def run(self, batch: Batch) -> Outputs:
        """Score one batch."""
        return run_session(self.session, batch)


class TorchRuntime:
    """The trained network in torch, on the CPU.

    Args:
        checkpoint: a .ckpt file that `setpoint train` wrote.
        threads: threads for one operator; 0 leaves the choice to torch.

    Raises:
        InputError: the file is missing, truncated or another program's.
    """

    def __init__(self, checkpoint: str | Path, *, threads: int = 0) -> None:
        import torch  # noqa: PLC0415 (seconds to import, and ONNX Runtime needs none of it)

        from train.job.checkpoint import load_checkpoint  # noqa: PLC0415

        if threads:
            torch.set_num_threads(threads)
        self.trained = load_checkpoint(checkpoint)
        self.threads = 0  # torch's threads are the process's: one batch at a time
        self.model_digest = self.trained.digest
        self.policy_versions = {policy.policy_id: policy.version for policy in self.trained.policies}
        self.preprocessing = self.trained.preprocessing
        self.tokenizer = self.trained.tokenizer or no_tokenizer()
        self.pad_token_id = pad_token_id(self.tokenizer)
        self.name = f"torch-{torch.__version__.split('+')[0]}-cpu-fp32"

    def run(self, batch: Batch) -> Outputs:
        """Score one batch; probabilities are sigmoid(logits), and there are no flags."""
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            logits = self.trained.network(**{name: torch.from_numpy(held) for name, held in batch.arrays().items()})
        logits_BP = logits.float().numpy()
        return Outputs(logits_BP, *undecided(logits_BP.shape[1]).apply(logits_BP))


def open_runtime(
    model: str | Path,
    *,
    kind: RuntimeKind = "auto",
    precision: str = "fp32",
    threads: int = 0,
    engines: Path = Path("engines"),
) -> Runtime:
    """Open a checkpoint in torch, or a model folder or release in ONNX Runtime or TensorRT.

    Args:
        model: the file or folder.
        kind: "auto" takes torch for a checkpoint and ONNX Runtime for a folder.
        precision: which ONNX file of the folder.
        threads: threads of one operator; 0 leaves the choice to the runtime.
        engines: TensorRT's cache.

    Raises:
        InputError: `model` is neither, or not what `kind` runs.
    """
    path = Path(model)
    if path.is_dir():
        if kind == "torch":
            raise InputError(f"{path}: runtime=torch needs the .ckpt file, this is a folder")
        if kind == "tensorrt":
            from export.tensorrt.runtime import TensorRtRuntime  # noqa: PLC0415 (its base is this module)

            return TensorRtRuntime(path, precision=precision, engines=engines)
        return OnnxRuntime(path, precision=precision, threads=threads)
    if kind in ("onnx", "tensorrt"):
        raise InputError(f"{path}: runtime={kind} needs a folder that `setpoint export` or `setpoint seal` wrote")
    if path.suffix != ".ckpt" or not path.is_file():
        found = "this is another file" if path.is_file() else "nothing is there"
        raise InputError(f"{path}: expected a .ckpt file, or a folder that `setpoint export` wrote; {found}")
    if precision != "fp32":
        raise InputError(f"{path}: a checkpoint runs in fp32, found precision={precision!r}")
    return TorchRuntime(path, threads=threads)


def open_session(
    path: str | Path,
    *,
    provider: Provider = "cpu",
    threads: int = 0,
    spinning: bool = False,
    optimization: Optimization = "all",
) -> onnxruntime.InferenceSession:
    """Open an ONNX file with one provider, repeatable results and no fallback.

    Args:
        path: the ONNX file.
        provider: where to run.
        threads: of one operator; 0 leaves the choice to ONNX Runtime. One thread is that of the caller, and several
            callers may run at once.
        spinning: whether threads that wait keep their core busy: sooner back, at the cost of what else runs there.
        optimization: of the graph, as it is loaded; each level has its own last bits.

    Raises:
        InputError: this ONNX Runtime has no such provider, or it cannot take the model.
    """
    wanted = PROVIDERS[provider]
    if wanted not in onnxruntime.get_available_providers():
        found = ", ".join(onnxruntime.get_available_providers())
        raise InputError(f"provider {provider!r} is not in this ONNX Runtime ({found}); install a build that has it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    options.graph_optimization_level = LEVELS[optimization]
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    if provider != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:  # the library raises a class of its own for each status
        raise InputError(f"{path}: ONNX Runtime cannot open it with {wanted} ({error})") from error
    if session.get_providers()[0] != wanted:
        raise InputError(f"{path}: asked ONNX Runtime for {wanted}, it fell back to {session.get_providers()[0]}")
    return session


def run_session(session: onnxruntime.InferenceSession, batch: Batch) -> Outputs:
    """Score one batch in an open session."""
    return Outputs(*session.run([LOGITS, PROBABILITIES, FLAGS], batch.arrays()))
