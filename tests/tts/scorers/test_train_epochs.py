"""What goes on between steps and epochs: the network kept, patience, checkpoints and a graceful stop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.engine.stopping import Stop
from tts.errors import PeerError, RunError
from tts.scorers import train as train_module
from tts.scorers.held_out import HeldOut
from tts.scorers.losses import pairwise
from tts.scorers.pair_scores import PairScores
from tts.scorers.settings import TrainSettings
from tts.scorers.team import Team
from tts.scorers.train import Around, Training, train_scorer

CPU = torch.device("cpu")
SHORT = TrainSettings(
    loss="pairwise",
    scales=(0, 1, 2, 3),
    epochs=2,
    batch=16,
    learning_rate=2e-3,
    epoch_pairs=40,
    held_out=0.25,
    held_out_pairs=50,
)


def flat(network):
    return torch.cat([value.flatten() for value in network.state_dict().values()])


@pytest.fixture
def losses_of_epochs(monkeypatch):
    """Let the held-out loss of each epoch be the next of the given ones."""

    def script(*losses):
        left = iter(losses)

        def fake(*_):
            value = next(left)
            return HeldOut((value,) * 4, (0.5,) * 4, torch.full((3, 2), value), torch.zeros(3, 2))

        monkeypatch.setattr(train_module, "evaluate", fake)

    return script


def weights_of_epochs(training):
    """The network's weights when each epoch is over."""
    seen = []

    def save():
        seen.append(flat(training.state.network))

    training.run(Team(), Around(save=save))
    return seen


@pytest.fixture
def training(digits_backbone, digit_stores):
    return lambda settings: Training(digits_backbone, *digit_stores, settings, pairwise, CPU)


@pytest.mark.parametrize(("keep", "kept"), [("best", 2), ("last", 4)])
@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_kept_network_is_that_of_its_epoch(training, losses_of_epochs, keep, kept, ema):
    losses_of_epochs(0.5, 0.2, 0.4, 0.2)
    made = training(replace(SHORT, epochs=4, keep=keep, ema=ema))
    seen = weights_of_epochs(made)
    result = made.result()
    assert (result.epoch, result.early, len(result.history)) == (kept, False, 4)
    assert torch.equal(flat(result.network), seen[kept - 1])
    assert not torch.equal(seen[1], seen[3])
    assert float(result.real_scores[0, 0]) == pytest.approx(0.2)
    assert not result.network.training
    assert not any(parameter.requires_grad for parameter in result.network.parameters())


@pytest.mark.parametrize(
    ("patience", "epochs", "kept"), [(1, 2, 1), (2, 5, 3), (3, 6, 3), (None, 8, 7), (9, 8, 7)]
)
def test_patience_ends_a_training(training, losses_of_epochs, patience, epochs, kept):
    losses_of_epochs(0.5, 0.6, 0.4, 0.4, 0.7, 0.8, 0.3, 0.9)
    made = training(replace(SHORT, epochs=8, epoch_pairs=16, patience=patience))
    made.run(Team(), Around())
    result = made.result()
    assert (len(result.history), result.epoch, result.early) == (epochs, kept, epochs < 8)


def test_checkpoints_come_every_so_many_steps_and_after_each_epoch(training):
    made, saved = training(replace(SHORT, epochs=2, epoch_pairs=16 * 5)), []
    made.run(Team(), Around(save=lambda: saved.append((made.step, made.state.position.step)), every=2))
    assert saved == [(2, 2), (4, 4), (5, 0), (6, 1), (8, 3), (10, 0)]


def test_a_signal_ends_the_training_after_the_step_with_all_saved(training, refused):
    made, saved, stop = training(SHORT), [], Stop()

    def on_step(step, total, loss):
        if step == 4:
            stop.signal = 15

    around = Around(on_step, lambda: saved.append(made.step), stop=stop)
    words = "terminated; stopped after step 5 of 6, pass --resume to go on"  # the step that was under way
    with refused(words, kind=RunError, code=143):
        made.run(Team(), around)
    assert saved == [3, 5]


def test_other_processes_end_in_silence(training):
    made, other = training(SHORT), Team()
    other.main = False
    with pytest.raises(PeerError) as caught:
        made._stop(2, other, Stop())
    assert caught.value.exit_code == 130


def test_held_out_figures_are_in_float32(digits_backbone, digit_stores, monkeypatch):
    seen = []
    original = PairScores.__call__

    def spy(self, network, *rest):
        seen.append((network.training, self.dtype))
        return original(self, network, *rest)

    monkeypatch.setattr(PairScores, "__call__", spy)
    train_scorer(digits_backbone, *digit_stores, replace(SHORT, precision="bfloat16"), pairwise, CPU)
    assert set(seen) == {(True, torch.bfloat16), (False, torch.float32)}
