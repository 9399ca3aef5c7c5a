"""The network as it is served: the input contract in, raw fp32 logits out. Resizing and tokenising stay outside."""

import torch
from torch import Tensor, nn

# B batch, T frames, L tokens, M mels, K places in time, P policies


class ServingGraph(nn.Module):
    """Wraps a trained network for export.

    Args:
        network: takes the contract's inputs in their order and gives logits [B, P]; it normalises frames by itself.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(
        self,
        frames: Tensor,
        frame_mask: Tensor,
        frame_times: Tensor,
        token_ids: Tensor,
        token_mask: Tensor,
        log_mel: Tensor | None = None,
        audio_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits float32 [B, P] of uint8 frames [B, T, 3, H, W] and int64 token_ids [B, L] with their masks, and of
        log_mel [B, M, K] where the network reads sound.
        """
        # Before any reshape: TensorRT has no uint8 Reshape.
        frames = frames.to(torch.float32)
        sound = () if log_mel is None else (log_mel, audio_mask)
        logits_BP: Tensor = self.network(frames, frame_mask, frame_times, token_ids, token_mask, *sound)
        return logits_BP.to(torch.float32)
