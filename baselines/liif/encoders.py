"""The encoders of LIIF: EDSR-baseline and RDN, without upsampling (docs/liif.md §2).

Parameters carry the published names, so that official checkpoints load as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from casarbi.layers import conv3


class ResidualBlock(nn.Module):
    """x + scale * conv(relu(conv(x))), without normalisation."""

    def __init__(self, features: int, scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(conv3(features, features), nn.ReLU(inplace=True), conv3(features, features))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        return x + self.body(x).mul(self.scale)


class EDSRBaseline(nn.Module):
    """EDSR-baseline without upsampling: (B, 3, h, w) in [-1, 1] to (B, features, h, w).

    Attributes:
        channels: of the output.
        reach: how many pixels away an input pixel still counts.
        region: side in pixels up to which a picture is encoded in one piece.
    """

    def __init__(self, blocks: int = 16, features: int = 64, res_scale: float = 1.0) -> None:
        super().__init__()
        # Each 3x3 convolution reaches one pixel further: two per block, the first and the last.
        # Feature maps of such pieces still fit what the allocator keeps (casarbi.allocator): larger ones are slower.
        self.channels, self.reach, self.region = features, 2 * blocks + 2, 256
        # Published as frozen parameters and unused: official files hold them, so strict loading needs them here.
        self.sub_mean, self.add_mean = (nn.Conv2d(3, 3, 1).requires_grad_(False) for _ in range(2))
        self.head = nn.Sequential(conv3(3, features))
        residuals = [ResidualBlock(features, res_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*residuals, conv3(features, features))

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch."""
        x = self.head(x)
        return x + self.body(x)


class DenseLayer(nn.Module):
    """Appends `growth` channels to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv3(inputs, growth), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C + growth, h, w)."""
        return torch.cat((x, self.conv(x)), dim=1)


class DenseBlock(nn.Module):
    """Dense layers, their fusion by a 1x1 convolution, and a skip."""

    def __init__(self, features: int, growth: int, layers: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(DenseLayer(features + i * growth, growth) for i in range(layers)))
        self.LFF = nn.Conv2d(features + layers * growth, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        return self.LFF(self.convs(x)) + x


class RDN(nn.Module):
    """Residual dense network, configuration B, without upsampling; attributes as in `EDSRBaseline`."""

    def __init__(self) -> None:
        super().__init__()
        features, blocks, layers, growth = 64, 16, 8, 64
        # Two convolutions before the blocks, `layers` in each, and one at the end; 1x1 ones reach nowhere.
        self.channels, self.reach, self.region = features, 2 + blocks * layers + 1, 384
        self.SFENet1, self.SFENet2 = conv3(3, features), conv3(features, features)
        self.RDBs = nn.ModuleList(DenseBlock(features, growth, layers) for _ in range(blocks))
        self.GFF = nn.Sequential(nn.Conv2d(blocks * features, features, 1), conv3(features, features))

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch."""
        shallow = self.SFENet1(x)
        x = self.SFENet2(shallow)
        outputs = []
        for block in self.RDBs:
            x = block(x)
            outputs.append(x)
        return self.GFF(torch.cat(outputs, dim=1)) + shallow


class FeatureMap(nn.Module):
    """Stands for the encoder if features are made elsewhere: an identity; attributes as in `EDSRBaseline`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.reach, self.region = channels, 0, 2**16

    def forward(self, x: Tensor) -> Tensor:
        """Return what it is given."""
        return x
