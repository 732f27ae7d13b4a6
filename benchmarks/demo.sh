#!/usr/bin/env bash
# LSRS on handwritten digits, end to end, by the public commands. Usage: demo.sh [FOLDER [BACKBONE]]
# Every step can be repeated by hand; "+" shows it before it runs.
set -euo pipefail
out="${1:-demo-out}"
backbone="${2:-var-digits}"
mkdir -p "$out"

step() {
  printf '\n+ %s\n' "$*"
  "$@"
}

step tts collect --backbone "$backbone" --per-class 500 --out "$out/generated"
step tts collect --backbone "$backbone" --real digits --per-class 500 --out "$out/real"
step tts train-scorer --real "$out/real" --generated "$out/generated" --loss pairwise \
  --lr 1e-3 --epochs 4 --epoch-pairs 25600 --ema 0.998 --overwrite --out "$out/scorer"

common=(--backbone "$backbone" --scorer "$out/scorer" --per-class 200 --overwrite)
step tts sample "${common[@]}" --candidates 1 --out "$out/baseline"
step tts sample "${common[@]}" --candidates 32 --selector greedy --out "$out/greedy"
step tts sample "${common[@]}" --candidates 32 --selector topk --top-k-select 8 --out "$out/topk"
step tts sample "${common[@]}" --candidates 32 --selector softmax --out "$out/softmax"

step tts eval "$out/baseline" "$out/greedy" "$out/topk" "$out/softmax" --reference heldout
step tts grid "$out/baseline" "$out/greedy" --columns 10 --out "$out/before-after.png"
