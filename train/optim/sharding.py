"""Splitting a network's weights over processes: FSDP2 (`torch.distributed.fsdp.fully_shard`)."""

import torch
from torch import nn
from torch.distributed import get_world_size
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from train.network.classifier import MultimodalClassifier


def shard(network: MultimodalClassifier, device: torch.device) -> None:
    """Split the weights of all parts that train over all processes, in place; those of a layer come together for it.

    Each part is split by itself and not the network as a whole: the job calls them one by one, and FSDP2 wants
    whatever is called first to be the whole. Parts that are frozen stay as they are.

    Args:
        network: on every process the same.
        device: of this process.
    """
    mesh = init_device_mesh(device.type, (get_world_size(),))
    for part in network.children():
        if not any(parameter.requires_grad for parameter in part.parameters()):
            continue
        part.to(memory_format=torch.contiguous_format)  # encoding before may have left images' channels last
        lists = [module for module in part.modules() if isinstance(module, nn.ModuleList)]
        for layer in (layer for layers in reversed(lists) for layer in layers):
            if any(True for _ in layer.parameters()):
                fully_shard(layer, mesh=mesh)
        fully_shard(part, mesh=mesh)
