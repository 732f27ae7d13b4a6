"""The Inception network of the FID (Szegedy et al. 2015; weights of 2015-12-05), layer by layer.

Axis letters: N images, C channels, H W positions, D = 2048 pooled features. The layout is Inception v3's
without the auxiliary classifier, but average pools do not count the padding, and the last block takes a
maximum instead. Parameters have the names of the published file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

SIZE = 299
"""Pixels a side of what the network takes."""

FEATURES, CLASSES = 2048, 1008
EPS = 1e-3

Kernel = int | tuple[int, int]


class FrozenNorm(nn.Module):
    """Batch normalisation by stored statistics."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) of the same shape."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=EPS)


class Unit(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn: nn.Module = FrozenNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) of the unit's number of channels."""
        return F.relu(self.bn(self.conv(x)), inplace=True)

    def fold(self) -> None:
        """Move the normalisation into the convolution: w s and b - m s, with s = weight / sqrt(var + eps).

        In float64, so that nothing but the rounding of the result to float32 is lost.
        """
        if not isinstance(self.bn, FrozenNorm):
            return
        norm = {name: value.detach().double() for name, value in self.bn.state_dict().items()}
        scale = norm["weight"] / (norm["running_var"] + EPS).sqrt()
        weight = self.conv.weight.detach().double() * scale[:, None, None, None]
        bias = norm["bias"] - norm["running_mean"] * scale
        self.conv.weight = nn.Parameter(weight.float(), requires_grad=False)
        self.conv.bias = nn.Parameter(bias.float(), requires_grad=False)
        self.bn = nn.Identity()


def _across(inputs: int, outputs: int, length: int) -> Unit:
    return Unit(inputs, outputs, (1, length), padding=(0, length // 2))


def _down(inputs: int, outputs: int, length: int) -> Unit:
    return Unit(inputs, outputs, (length, 1), padding=(length // 2, 0))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Mixed5(nn.Module):
    """35 x 35: kernels of 1, 5 and twice 3, and a pool."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(inputs, 64, 1)
        self.branch5x5_1 = Unit(inputs, 48, 1)
        self.branch5x5_2 = Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, 35, 35)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return torch.cat((self.branch1x1(x), five, double, self.branch_pool(_average(x))), dim=1)


class Mixed6a(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = Unit(288, 384, 3, stride=2)
        self.branch3x3dbl_1 = Unit(288, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 768, 17, 17) of maps (N, 288, 35, 35)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)), dim=1)


class Mixed6(nn.Module):
    """17 x 17: kernels of 1, 7 and twice 7, the sevens by rows and columns, and a pool."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(768, 192, 1)
        self.branch7x7_1 = Unit(768, width, 1)
        self.branch7x7_2 = _across(width, width, 7)
        self.branch7x7_3 = _down(width, 192, 7)
        self.branch7x7dbl_1 = Unit(768, width, 1)
        self.branch7x7dbl_2 = _down(width, width, 7)
        self.branch7x7dbl_3 = _across(width, width, 7)
        self.branch7x7dbl_4 = _down(width, width, 7)
        self.branch7x7dbl_5 = _across(width, 192, 7)
        self.branch_pool = Unit(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 768, 17, 17); the first 192 channels are those of the kernel of 1."""
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat((self.branch1x1(x), seven, double, self.branch_pool(_average(x))), dim=1)


class Mixed7a(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Unit(768, 192, 1)
        self.branch3x3_2 = Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Unit(768, 192, 1)
        self.branch7x7x3_2 = _across(192, 192, 7)
        self.branch7x7x3_3 = _down(192, 192, 7)
        self.branch7x7x3_4 = Unit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 1280, 8, 8) of maps (N, 768, 17, 17)."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat((three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)), dim=1)


class Mixed7(nn.Module):
    """8 x 8: kernels of 1, 3 and twice 3, the last by rows and by columns, and a pool."""

    def __init__(self, inputs: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Unit(inputs, 320, 1)
        self.branch3x3_1 = Unit(inputs, 384, 1)
        self.branch3x3_2a = _across(384, 384, 3)
        self.branch3x3_2b = _down(384, 384, 3)
        self.branch3x3dbl_1 = Unit(inputs, 448, 1)
        self.branch3x3dbl_2 = Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _across(384, 384, 3)
        self.branch3x3dbl_3b = _down(384, 384, 3)
        self.branch_pool = Unit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 2048, 8, 8)."""
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        threes = (self.branch3x3_2a(three), self.branch3x3_2b(three))
        doubles = (self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        return torch.cat((self.branch1x1(x), *threes, *doubles, self.branch_pool(pooled)), dim=1)


class InceptionNetwork(nn.Module):
    """The network in stages, so that each can take a batch of its own size and show what it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = Mixed5(192, 32), Mixed5(256, 64), Mixed5(288, 64)
        self.Mixed_6a = Mixed6a()
        self.Mixed_6b, self.Mixed_6c = Mixed6(128), Mixed6(160)
        self.Mixed_6d, self.Mixed_6e = Mixed6(160), Mixed6(192)
        self.Mixed_7a = Mixed7a()
        self.Mixed_7b, self.Mixed_7c = Mixed7(1280, maximum=False), Mixed7(FEATURES, maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def fold(self) -> InceptionNetwork:
        """Move every normalisation into its convolution: the same function, in fewer steps."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.fold()
        return self

    def first_pool(self, x: Tensor) -> Tensor:
        """Maps (N, 64, 73, 73) of images (N, 3, 299, 299) in [-1, 1]."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # N 64 147 147
        return F.max_pool2d(x, 3, stride=2)

    def second_pool(self, x: Tensor) -> Tensor:
        """Maps (N, 192, 35, 35) of those of ``first_pool``."""
        return F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, stride=2)

    def mixed_6d(self, x: Tensor) -> Tensor:
        """Maps (N, 768, 17, 17) of those of ``second_pool``; the first channels serve sFID."""
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # N 288 35 35
        return self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x))))

    def mixed_6e(self, x: Tensor) -> Tensor:
        """Maps (N, 768, 17, 17) of those of ``mixed_6d``."""
        return self.Mixed_6e(x)

    def mixed_7c(self, x: Tensor) -> Tensor:
        """Maps (N, 2048, 8, 8) of those of ``mixed_6e``."""
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))

    def logits(self, pool: Tensor) -> Tensor:
        """Logits (N, 1008) of pooled features (N, D), without the bias, as the Inception Score takes them."""
        return F.linear(pool, self.fc.weight)


def pooled(maps: Tensor) -> Tensor:
    """Means (N, C) over the positions of maps (N, C, H, W)."""
    return reduce(maps, "n c h w -> n c", "mean")
