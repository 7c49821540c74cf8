"""Building blocks of the denoiser: normalisation, embeddings, residual blocks with modulation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from casarbi.layers import conv3, sinusoids


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all its parameters zero, so that training starts without what it adds."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Modulation(nn.Conv2d):
    """Spatial feature transform (SFT): h · scale + shift, both by a 1x1 convolution of a condition.

    The condition is feature maps (B, inputs, H, W), or an embedding (B, inputs, 1, 1) that holds for all pixels. A new
    one changes nothing: scale 1, shift 0.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__(inputs, 2 * channels, 1)
        # The identity at first: the scale is 1 and the shift 0, whatever the condition.
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        with torch.no_grad():
            self.bias.copy_(torch.tensor([1.0, 0.0]).repeat_interleave(channels))

    def modulate(self, h: Tensor, condition: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        scale, shift = self(condition).chunk(2, dim=1)
        return torch.addcmul(shift, h, scale)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels, for each pixel by itself.

    Group normalisation takes a mean over the whole picture; this one does not. So a tile of a large image, or a size
    never seen in training, is treated like any other picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape, in channels-last memory."""
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class Embedding(nn.Module):
    """Time step and scale through a two-layer MLP (§IV-B): (B,) and (B,) to (B, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.first, self.second = nn.Linear(2 * channels, channels), nn.Linear(channels, channels)

    def forward(self, t: Tensor, scale: Tensor) -> Tensor:
        """Embed t in 1..T and s_i, the latter by its logarithm in steps of 1/100 of an octave."""
        both = torch.cat((sinusoids(t, self.channels), sinusoids(100 * scale.log2(), self.channels)), dim=1)
        return self.second(F.silu(self.first(both)))


class EDSR(nn.Module):
    """Encoder in the style of EDSR: a head, residual blocks without normalisation, and a long skip; any size.

    Attributes:
        reach: how many pixels away an input pixel still counts.
    """

    def __init__(self, inputs: int, features: int, blocks: int) -> None:
        super().__init__()
        # Every 3x3 convolution reaches one pixel further: two per block, and those of head and tail.
        self.reach = 2 * blocks + 2
        self.head, self.tail = conv3(inputs, features), conv3(features, features)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv3(features, features), nn.ReLU(), conv3(features, features)) for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, features, H, W)."""
        head = x = self.head(x)
        for block in self.blocks:
            x = x + block(x)
        return head + self.tail(x)


class ResidualBlock(nn.Module):
    """x + conv(SiLU(SFT(conv(norm(x))))): a block of EDSR, normalised first and modulated in its middle.

    One norm and one activation for two convolutions, because at a small width each costs a third of a convolution.

    Args:
        channels: in and out.
        embedding: channels of the embedding, 0 for a block without.
        sft: channels of the feature maps of the spatial feature transform (SFT), 0 for a block without.
        dropout: share of features dropped in training.
    """

    def __init__(self, channels: int, *, embedding: int = 0, sft: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1, self.conv2 = conv3(channels, channels), conv3(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.embed = Modulation(embedding, channels) if embedding else None
        self.sft = Modulation(sft, channels) if sft else None

    def forward(self, x: Tensor, embedding: Tensor | None = None, maps: Tensor | None = None) -> Tensor:
        """Map (B, channels, H, W) to the same shape, given (B, E) and (B, sft, H, W) if it takes them."""
        # Modulated between the convolutions, first by time and scale, then by the adapter's maps.
        h = self.conv1(self.norm(x))
        if self.embed is not None and embedding is not None:
            h = self.embed.modulate(h, F.silu(embedding)[:, :, None, None])
        if self.sft is not None and maps is not None:
            h = self.sft.modulate(h, maps)
        return x + self.conv2(self.dropout(F.silu(h)))
