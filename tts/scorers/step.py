"""One optimiser step on a batch of pairs: its parts, the precision, and gradients over all processes."""

from __future__ import annotations

from torch import Tensor

from tts.checks import check_floats
from tts.owners import titled
from tts.scorers.pair_data import Batch, PairData
from tts.scorers.pair_scores import PairScores
from tts.scorers.parallel import Part, PartDropout, cut
from tts.scorers.rng import random_state, set_random_state
from tts.scorers.settings import Loss, TrainSettings
from tts.scorers.state import TrainState
from tts.scorers.team import Team


class Stepper:
    """Trains a network on one batch after the other.

    A single process that takes whole batches is the plain loop, bit by bit. Processes and parts change no
    more than the order of sums: from equal weights, a step's loss agrees within a relative 1e-6 in float32.
    Adam then magnifies the rounding of gradients near zero; losses agree within 1e-4 over the first steps
    and drift apart slowly, as they do on another machine. (In float64 whole trainings agree within 1e-12.)
    """

    def __init__(
        self,
        state: TrainState,
        data: PairData,
        scores: PairScores,
        settings: TrainSettings,
        loss: Loss,
        team: Team,
    ) -> None:
        self.state, self.data, self.scores, self.loss, self.team = state, data, scores, loss, team
        self.parts = settings.accumulate
        self.model = team.wrap(state.net)
        self.dropout: PartDropout | None = None
        if team.world * self.parts > 1:
            self.dropout = state.net.dropout = PartDropout(state.net.dropout.p)

    def __call__(self, batch: Batch, learning_rate: float) -> float:
        """Step; returns this process's share of the batch's mean loss."""
        parts = cut(len(batch), self.team.world * self.parts)
        mine = parts[self.team.rank * self.parts :][: self.parts]
        optimizer, scaler = self.state.optimizer, self.state.scaler
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad(set_to_none=True)
        before = random_state(self.scores.device) if len(mine) > 1 else {}
        total = 0.0
        for number, part in enumerate(mine):
            if number:
                set_random_state(before, self.scores.device)  # so that each part cuts the same masks
            with self.team.exchanging(self.model, now=number == len(mine) - 1):
                total += self._backward(batch, part)
        scaler.step(optimizer)
        scaler.update()
        if self.state.average is not None:
            self.state.average.update_parameters(self.state.net)
        return total

    def _backward(self, batch: Batch, part: Part) -> float:
        """Add a part's gradients; returns its share of the mean loss."""
        if self.dropout is not None:
            self.dropout.part = part
        real, generated = self.scores(self.model, *self.data.read(batch.cut(*part.rows)))  # b S
        loss = self._loss(real, generated, part) * part.weight
        self.state.scaler.scale(loss * self.team.world).backward()  # exchanged gradients are means over ranks
        return float(loss.detach())

    def _loss(self, real: Tensor, generated: Tensor, part: Part) -> Tensor:
        if part.borrowed:  # no loss of a single pair, which a plugin's may not know how to take
            return (real.sum() + generated.sum()) * 0
        loss = self.loss(real.flatten(), generated.flatten())
        check_floats(loss, (), f"loss {titled(self.loss)}")
        return loss
