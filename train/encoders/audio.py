"""Sound to one vector each: the encoder of a Whisper model, or an Audio Spectrogram Transformer.

Shapes: B batch, M mels, K places of a spectrogram, N places that the backbone takes, L that it gives, T patches in
time, D features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from data.preprocessing import LogMel
from data.sound import PLACES_PER_SECOND
from train.encoders.pooling import LAST, PoolBy, join_layers, wanted
from train.encoders.sources import load_audio_backbone
from train.settings import Pool

QUIETEST_WHISPER = -1.5  # of its log-mel: (log10(1e-10) + 4) / 4


class AudioEncoder(nn.Module):
    """Log-mel spectrograms to one vector an item.

    A backbone takes sound of one length alone. Shorter sound is followed by silence, as it was when the backbone was
    trained; what is pooled is the places of real sound. Values under a False mask are never read.

    Args:
        backbone: Transformers' WhisperEncoder or ASTModel.
        config: its configuration, kept for checkpoints.
        pool: "pooler" (AST's two first tokens) or "mean" (over places with sound).
        layers: hidden states whose pooled features are joined, counted from the last, -1; those before it are
            pooled by their mean.
        log_mel: the spectrograms that it takes.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        config: dict[str, Any],
        pool: PoolBy,
        layers: tuple[int, ...] = LAST,
        log_mel: LogMel,
    ) -> None:
        super().__init__()
        self.backbone, self.config, self.pool, self.layers, self.log_mel = backbone, config, pool, layers, log_mel
        self.is_whisper = log_mel.kind == "whisper"
        self.num_places = 2 * config["max_source_positions"] if self.is_whisper else config["max_length"]

    def forward(self, log_mel_BMK: Tensor, mask_BK: Tensor) -> Tensor:
        """Encode spectrograms to features [B, D]; finite also where a row of the mask is all False."""
        K = mask_BK.shape[1]
        place_N = torch.arange(self.num_places, device=mask_BK.device)
        given_N = place_N.clamp(max=K - 1)
        mask_BN = mask_BK.index_select(1, given_N) & (place_N < K)
        mel_BMN = log_mel_BMK.index_select(2, given_N)
        mel_BMN = torch.where(mask_BN.unsqueeze(1), mel_BMN, self._silence(mel_BMN, mask_BN))
        if self.is_whisper:
            output = self.backbone(input_features=mel_BMN, **wanted(self.layers))
            real_BL = mask_BN[:, ::2]
        else:
            output = self.backbone(input_values=mel_BMN.transpose(1, 2), **wanted(self.layers))
            real_BL = self._patches(mask_BN)
        # One place keeps the mean of a row without sound finite.
        is_first_L = torch.arange(real_BL.shape[1], device=mask_BK.device) == 0
        weights_BL1 = (real_BL | (is_first_L & ~real_BL.any(1, keepdim=True))).unsqueeze(-1)

        def pooled(hidden_BLD: Tensor) -> Tensor:
            weights = weights_BL1.to(hidden_BLD.dtype)
            return (hidden_BLD * weights).sum(1) / weights.sum(1)

        return join_layers(output, self.layers, self.pool, pooled)

    def _silence(self, mel_BMN: Tensor, mask_BN: Tensor) -> Tensor | float:
        """What silence after the sound looks like."""
        if not self.is_whisper:
            return -self.log_mel.mean / (2 * self.log_mel.std)
        # Whisper's values end 8 below the loudest, in log10 before they are divided by 4.
        heard_BMN = torch.where(mask_BN.unsqueeze(1), mel_BMN, QUIETEST_WHISPER)
        return (heard_BMN.amax((1, 2), keepdim=True) - 2.0).clamp(min=QUIETEST_WHISPER)

    def _patches(self, mask_BN: Tensor) -> Tensor:
        """Which of AST's places begin in real sound, bool [B, L]: two tokens, then patches, time running fastest."""
        config = self.config
        num_times = (self.num_places - config["patch_size"]) // config["time_stride"] + 1
        num_mels = (self.log_mel.num_mels - config["patch_size"]) // config["frequency_stride"] + 1
        starts = torch.arange(num_times, device=mask_BN.device) * config["time_stride"]
        real_BT = mask_BN.index_select(1, starts)
        return torch.cat([torch.zeros_like(mask_BN[:, :2]), *[real_BT] * num_mels], 1)


def load_audio_encoder(
    source: str, *, pool: Pool = "auto", layers: tuple[int, ...] = LAST, audio_seconds: int = 30
) -> AudioEncoder:
    """Load an audio encoder in evaluation mode; "auto" is the mean for Whisper, the pooler for AST.

    Args:
        source: Hugging Face name or folder of a Whisper model or an Audio Spectrogram Transformer.
        pool: see `AudioEncoder`.
        layers: likewise.
        audio_seconds: the longest sound that it will hear. Whisper's table of 30 seconds of positions is cut to it:
            its positions are sinusoids, so nothing else changes, and 10 seconds cost a third.

    Raises:
        InputError: the source cannot be loaded or is another kind of model, or the pooling or the length does not
            suit it.
    """
    backbone = load_audio_backbone(source)
    model, config = backbone.model, backbone.config
    assert backbone.log_mel is not None
    is_whisper = backbone.log_mel.kind == "whisper"
    longest = config["max_source_positions"] * 2 if is_whisper else config["max_length"]
    if audio_seconds * PLACES_PER_SECOND > longest:
        raise InputError(
            f"preprocessing.audio_seconds = {audio_seconds}: {source!r} hears {longest / PLACES_PER_SECOND:g} "
            f"seconds at most; set {longest // PLACES_PER_SECOND}"
        )
    own: PoolBy = "mean" if is_whisper else "pooler"
    chosen = own if pool == "auto" else pool
    if chosen not in ("mean", own):
        raise InputError(f"model.audio.pool = {pool!r} does not suit {source!r}; use mean or auto")
    if is_whisper:
        config = {**config, "max_source_positions": audio_seconds * PLACES_PER_SECOND // 2}
        _cut_positions(model, config["max_source_positions"])
    return AudioEncoder(backbone=model, config=config, pool=chosen, layers=layers, log_mel=backbone.log_mel).eval()


def _cut_positions(model: Any, count: int) -> None:
    positions = nn.Embedding(count, model.embed_positions.embedding_dim).requires_grad_(False)
    with torch.no_grad():
        positions.weight.copy_(model.embed_positions.weight[:count])
    model.embed_positions = positions
    model.max_source_positions = model.config.max_source_positions = count
