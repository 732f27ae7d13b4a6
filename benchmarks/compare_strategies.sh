#!/usr/bin/env bash
# All strategies and selectors on an embedded model, by `tts sweep`: compare_strategies.sh BACKBONE [OUT]
# 3 seed sets of 2 000 images; then every point timed in 5 interleaved rounds, and the tables at equal cost.
# The selector `density` is that of plugins/tts-select-density, which must be installed.
# Two processes share the sets; a killed run goes on when it is started again.
set -euo pipefail
backbone="$1"
out="${2:-benchmarks/results/strategies_$backbone}"
here="$(dirname "$0")"

torchrun --nproc-per-node 2 -m tts_cli sweep --backbone "$backbone" --reference all \
  --images 2000 --seeds 3 --batch-size 50 --out "$out" \
  --grid "candidates=1,2,4,8,16,32,128 selector=greedy,topk,softmax" \
  --grid "candidates=8,32 selector=density" \
  --grid "candidates=2,4,8 scorer=preview:digits" \
  --grid "strategy=best-of-n candidates=2,4,8" \
  --grid "strategy=beam:2,beam:4,beam:8 candidates=4,16" \
  --grid "strategy=particles candidates=2,4,8" \
  --grid "strategy=particles:final=best candidates=2,4,8"
tts sweep --out "$out" --time 5  # interleaved, in one process: let nothing else compute
tts report "$out"
python "$here/equal_cost.py" "$out"
