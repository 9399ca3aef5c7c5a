"""The settings of the loss, as configs/train/loss/*.yaml state them."""

from typing import Annotated, Literal

from pydantic import Field

from data.policy import Strict

NotNegative = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Inside = Annotated[float, Field(gt=0, lt=1)]


class AnyLoss(Strict):
    """What all losses share; see configs/train/loss/bce.yaml."""

    soft_targets: bool = False
    unknown: Literal["masked", "negative_by_prior"] = "masked"
    unknown_prior: BelowOne | dict[str, BelowOne] = 0.01
    unknown_weight: Annotated[float, Field(gt=0, le=1)] = 0.05
    hard_negatives: NotNegative = 0.0


class BCE(AnyLoss):
    """Binary cross-entropy."""

    name: Literal["bce"] = "bce"


class Focal(AnyLoss):
    """See `train.losses.functions.focal`."""

    name: Literal["focal"]
    gamma: NotNegative = 2.0
    alpha: Inside | None = 0.25


class Asymmetric(AnyLoss):
    """See `train.losses.functions.asymmetric`."""

    name: Literal["asymmetric"]
    gamma_positive: NotNegative = 1.0
    gamma_negative: NotNegative = 4.0
    margin: BelowOne = 0.05


class ClassBalanced(AnyLoss):
    """See `train.losses.functions.effective_number_weights`."""

    name: Literal["class_balanced"]
    beta: BelowOne = 0.999


LossSettings = Annotated[BCE | Focal | Asymmetric | ClassBalanced, Field(discriminator="name")]
