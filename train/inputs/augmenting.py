"""Which items of a training part may be augmented how: what counts as evidence stays as it is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from data.augment import Augment, AugmentSettings
from data.errors import InputError
from data.policy import Policy
from train.inputs.parts import Part
from train.network.evidence import MODALITY_OF
from train.settings import ModelSettings


def check_augment(augment: AugmentSettings, model: ModelSettings) -> None:
    """Refuse augmentation that would not reach an encoder.

    Raises:
        InputError: an encoder of pictures is frozen, or there is none.
    """
    if augment.changes_nothing:
        return
    seeing = [name for name in model.encoders if MODALITY_OF[name] == "visual"]
    frozen = [name for name in seeing if name not in model.tuned]
    if not seeing:
        raise InputError("augment: the model sees no pictures (model.image and model.clip are null); augment=none")
    if frozen:
        raise InputError(
            f"augment: model.{frozen[0]}.tune is frozen, so its features of each picture are computed once and kept; "
            f"expected tune: full or lora for {' and '.join(seeing)}, as model=full sets it, or augment=none"
        )


def augment_of(augment: AugmentSettings, part: Part, policies: Sequence[Policy], seed: int) -> Augment | None:
    """The augmentations of a training part; None where all are off.

    Args:
        augment: `horizontal_flip` true mirrors any item, "auto" none in which `text_counts`.
        part: its readable items.
        policies: in the order of its labels.
        seed: of the run.
    """
    if augment.changes_nothing:
        return None
    flip = augment.horizontal_flip
    allowed = ~text_counts(part, policies) if flip == "auto" else np.full(len(part.items), flip)
    return Augment(augment, allowed, seed)


def text_counts(part: Part, policies: Sequence[Policy]) -> npt.NDArray[np.bool_]:
    """Bool [N]: whether an item's picture may hold text that counts, which a mirror would make unreadable.

    It may where text was found in the picture (`ocr_text` is not blank), and where annotators judged the item by a
    policy that declares text as evidence, whatever they found.
    """
    by_text = np.array(["text" in policy.evidence for policy in policies])
    judged = ~np.isnan(part.labels) | ~np.isnan(part.p_violating)
    lettered = part.items.select(pl.col("ocr_text").str.strip_chars().fill_null("") != "").to_series().to_numpy()
    counts: npt.NDArray[np.bool_] = lettered | judged[:, by_text].any(1)
    return counts


def augment_line(augment: Augment | None) -> list[str]:
    """For the summary: how many items are mirrored at times."""
    if augment is None or not augment.settings.horizontal_flip:
        return []
    return [f"mirrored at times: {augment.may_flip.sum():,} of {len(augment.may_flip):,} training items"]
