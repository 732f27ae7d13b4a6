#!/usr/bin/env bash
# The paper's tables and figures on an embedded model: sweep_digits.sh BACKBONE [OUT [WORK]]
# M x selectors, ST at M = 32, k at M = 128, both losses, for var-digits best-of-N too; 3 seed sets of 5 000 images.
# The pairwise scorer is the shipped one; a pointwise one is trained here by the same recipe, in WORK, on one
# thread: sums on several round otherwise, and another scorer comes of it.
# Two processes share the work; a killed run goes on when it is started again.
set -euo pipefail
backbone="$1"
out="${2:-benchmarks/results/sweep_$backbone}"
work="${3:-.sweep-work}"
condition=scale ks=2,4,8,16 losses=4,8,16,32,128 further=()
case "$backbone" in
  var-digits) ks=1,2,4,8,16,32 losses=1,2,4,8,16,32,64,128 further=(--grid "strategy=best-of-n candidates=2,4,8,16") ;;
  flexvar-digits) condition=side ;;
esac

if [ ! -e "$work/$backbone-pointwise/metrics.json" ]; then
  tts collect --backbone "$backbone" --per-class 1000 --out "$work/$backbone-generated"
  tts collect --backbone "$backbone" --real digits --per-class 1000 --out "$work/$backbone-real"
  OMP_NUM_THREADS=1 tts train-scorer --real "$work/$backbone-real" --generated "$work/$backbone-generated" --loss pointwise \
    --lr 1e-3 --epochs 4 --epoch-pairs 51200 --ema 0.998 --condition "$condition" \
    --out "$work/$backbone-pointwise"
fi
pointwise="$work/$backbone-pointwise/scorer.safetensors"

torchrun --nproc-per-node 2 -m tts_cli sweep --backbone "$backbone" --reference all \
  --images 5000 --seeds 3 --batch-size 50 --out "$out" \
  --grid "candidates=1,2,4,8,16,32,64,128 selector=greedy,topk,softmax" \
  --grid "candidates=32 start_scale=1,2,3,4" \
  --grid "candidates=128 selector=topk top_k_select=$ks" \
  --grid "candidates=$losses selector=greedy scorer=$pointwise" "${further[@]}"
tts sweep --out "$out" --time 5  # interleaved, in one process: let nothing else compute
tts report "$out"
