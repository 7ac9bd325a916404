#!/bin/sh
# From handwritten characters to a saved few-shot classifier:
#
#   examples/omniglot/run.sh BACKGROUND OUTPUT [TEST]
#
# BACKGROUND  a folder of alphabets, alphabet/character/*.png; one of them is held out for validation
# OUTPUT      folder of the result, OUTPUT/model, a leo_tf.ImageFewShotClassifier, and of embeddings and runs
# TEST        another folder of alphabets; those that are not in BACKGROUND are tested on
#
# Rerun it to resume. PYTHON is the interpreter with leo_tf.
set -eu
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -z "${PYTHON:-}" ]; then
  if [ -x "$root/.venv/bin/python" ]; then PYTHON=$root/.venv/bin/python; else PYTHON=python; fi
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"
output=$2

step() { printf '\n== %s (%d s)\n' "$1" $(($(date +%s) - start)); }
start=$(date +%s)

if [ -e "$output/model" ]; then
  echo "Error: $output/model already exists; give another folder, or remove it." >&2
  exit 2
fi
step "alphabets"
"$PYTHON" "$here/arrange.py" "$1" "$output/images" ${3:+"$3"}

step "pre-train a wide residual network; rotated and mirrored characters are additional classes"
"$PYTHON" -m leo_tf.features.pretrain --flagfile="$here/pretrain.cfg" \
  --images="$output/images" --cache_dir="$output/cache" --checkpoint_path="$output/features"

layers="group2_block1 group3_block1 pool"
for layer in $layers; do
  step "embeddings of layer $layer"
  "$PYTHON" -m leo_tf.features.extract --extractor="$output/features" --images="$output/images" \
    --layer="$layer" --views=drawing --output="$output/data/$layer"
done
step "choose the layer"
"$PYTHON" "$here/layers.py" "$output/data" $layers | tee "$output/layers.md"
layer=$(tail -n 1 "$output/layers.md")

step "meta-train ProtoLEO on layer $layer"
"$PYTHON" "$root/train.py" --flagfile="$here/leo.cfg" --data_path="$output/data" --dataset_name="$layer" \
  --cache_dir="$output/cache" --checkpoint_path="$output/run"
"$PYTHON" "$root/evaluate.py" --checkpoint_path="$output/run" --split=val --num_tasks=2000
if [ $# -eq 3 ]; then
  step "test within each alphabet"
  "$PYTHON" "$here/test_alphabets.py" "$output/run" | tee "$output/test.md"
fi
"$PYTHON" "$here/save.py" "$output/run" "$output/model"
step "done: $output/model"
