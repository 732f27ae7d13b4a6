"""Random weights in the published architectures."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.flexvae import FlexVaeConfig
from tts.backbones.flexvar import FlexVarConfig
from tts.backbones.flexvar_adapter import make_info as flexvar_info
from tts.backbones.presets import FLEXVAR_PUBLISHED, SCHEDULE_256, SPECS, VAR_PUBLISHED
from tts.backbones.var import VarConfig
from tts.backbones.var_adapter import make_info as var_info
from tts.backbones.vqvae import VqvaeConfig
from tts.backbones.weights import DERIVED
from tts.bench.untrained import META, build_untrained, untrained
from tts.sampling import filter_logits
from tts.specs import BackboneOptions

SIZES = {"schedule": SCHEDULE_256, "depth": 2, "width": 128, "heads": 2}
SMALL = {"width": 32, "multipliers": (1, 2), "blocks": 1}


def small(family):
    """A shallow backbone with the published codes, schedule and sampling."""
    if family == "var":
        configs = VarConfig(**SIZES), VqvaeConfig(SCHEDULE_256, **SMALL)
        info = var_info("small", *configs, VAR_PUBLISHED)
    else:
        configs = FlexVarConfig(**SIZES), FlexVaeConfig(latent=8, **SMALL)
        info = flexvar_info("small", *configs, FLEXVAR_PUBLISHED)
    return build_untrained(info, *configs, torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.repo], ids=lambda spec: spec.name)
def test_every_published_model_has_the_published_tensors(spec, checkpoint_shapes):
    backbone = untrained(spec, BackboneOptions(), torch.float32, META)
    own = {key: tensor.shape for key, tensor in backbone.transformer.state_dict().items()}
    published = checkpoint_shapes(spec.name.replace("-", "_"))
    assert own == {key: tensor.shape for key, tensor in published.items() if not key.endswith(DERIVED)}
    assert (backbone.info.schedule, backbone.info.image_size) == (spec.schedule, spec.image_size)


@pytest.mark.parametrize("family", ["var", "flexvar"])
def test_the_filters_leave_a_realistic_number_of_codes(family):
    """30 to 700 codes at every scale, with the published guidance."""
    backbone = small(family)
    sampling = backbone.info.sampling
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        state = backbone.begin(torch.tensor([3]), sampling.cfg)
        for _ in backbone.info.schedule:
            kept = filter_logits(state.logits(), sampling.top_k, sampling.top_p)  # 1 L V
            assert 30 <= float(kept.isfinite().sum(dim=-1).float().median()) <= 700
            state.commit(torch.multinomial(kept[0].softmax(dim=-1), 1, generator=generator)[None, :, 0])


@pytest.mark.parametrize("family", ["var", "flexvar"])
def test_no_tensor_is_zero_and_weights_are_the_same_each_time(family):
    before = torch.random.get_rng_state()
    one, two = small(family), small(family)
    assert torch.equal(before, torch.random.get_rng_state())
    for part in ("transformer", "tokenizer"):
        states = getattr(one, part).state_dict(), getattr(two, part).state_dict()
        for key, tensor in states[0].items():
            assert tensor.any(), key
            assert torch.equal(tensor, states[1][key])
