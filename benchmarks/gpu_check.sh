#!/usr/bin/env bash
# Everything that only a GPU can tell, in eight minutes at most.
#
#   bash benchmarks/gpu_check.sh pack          where there is internet: wheels, ours too, and images into .gpu/
#   bash benchmarks/gpu_check.sh [PART ...]    beside a GPU, or tried on a CPU: where tests step profile resume campaign; default all
#   bash benchmarks/gpu_check.sh summary       one JSON and one Markdown table of the parts whose figures are in $OUT
#
# Each part is bounded in time and leaves a log and its figures in $OUT (.gpu/out); a part that passed is not run again there.
# KD_DEVICE=cpu SLOWER=10 (times the bounds) tries the script without a GPU; STEPS, ROUNDS, METHODS, STUDENTS, EPOCHS, NETWORKS="TEACHER STUDENT" make it shorter.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
here=$PWD/.gpu out=${OUT:-$PWD/.gpu/out}
python=${PYTHON:-$([ -x .venv/bin/python ] && echo "$PWD/.venv/bin/python" || echo python3)}
device=${KD_DEVICE:-cuda} steps=${STEPS:-10} rounds=${ROUNDS:-3} students=${STUDENTS:-6} epochs=${EPOCHS:-4} slower=${SLOWER:-1}
read -r -a methods <<<"${METHODS:-logit rkd nst factor_transfer}"
read -r teacher student <<<"${NETWORKS:-ResNet112 ResNet56}"
arithmetics=float32
[ "$device" = cpu ] || arithmetics="float16 bfloat16"

pack() {
    rm -rf "$here/whl"; mkdir -p "$here/whl"
    "$python" -m uv build -q --all-packages --wheel -o "$here/whl" && rm -f "$here/whl/.gitignore" || return
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version "${GPU_PYTHON:-3.12}" --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d "$here/whl" \
        pydantic==2.14.3 pydantic-core==2.50.4 annotated-types typing-inspection typer click rich shellingham markdown-it-py mdurl pygments
    [ -n "${JPEGS:-}" ] && "$python" -m benchmarks.jpeg_images "$JPEGS" "$here/data" --train 10000 --test 2000
    du -sh "$here"
}

core() { "$python" -c 'from kd_core.cli import main; main()' "$@"; }

# core_killed FILE WORDS...: the same, killed as soon as the record in FILE tells of two finished epochs
core_killed() {
    local status=$1 pid; shift
    core "$@" & pid=$!
    while kill -0 "$pid" 2>/dev/null && ! grep -qE '"epoch": *[2-9]' "$status" 2>/dev/null; do sleep 0.02; done
    pkill -9 -P "$pid" 2>/dev/null; kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null || true
}

where() { "$python" -m benchmarks.gpu_parts where --device "$device" | tee "$out/where.json"; }

tests() {
    "$python" -m pytest tests/core/training/test_recorded_step.py tests/core/teacher/test_frozen.py -k test_on_a_gpu \
        -n 0 -q -rs -o addopts=--import-mode=importlib -o filterwarnings=default
}

step() {
    local chosen=(); for name in "${methods[@]}"; do chosen+=(--method "$name"); done
    "$python" -m benchmarks.step --teacher "$teacher" --student "$student" --steps "$steps" --rounds "$rounds" \
        --students "$students" "${chosen[@]}" --plain --device "$device" --json "$out/step.json"
}

profile() { "$python" -m benchmarks.gpu_parts profile --device "$device" --students "$students" --networks "$teacher" "$student" | tee "$out/profile.json"; }

# Two students beside each other, four epochs in one go, and killed after two and started again: the same bytes?
resume() {
    local folder amp run words runs status; folder=$(mktemp -d)
    core data prepare Digits --data "$folder/data" || return
    words=(train --data "$folder/data" --dataset Digits --seed 0 --device "$device")
    core "${words[@]}" --experiments "$folder/teacher" --model ResNet20 --epochs 20 || return
    words+=(--method logit --alpha 0.5 --beside fitnets:0.5 --teacher ResNet20 --student ResNet20 --epochs "$epochs")
    for amp in $arithmetics; do
        for run in whole killed; do
            runs=$folder/$amp-$run
            cp -r "$folder/teacher" "$runs"
            status=$runs/Digits/logit/alpha_0.5/ResNet20_to_ResNet20/0/status.json
            [ "$run" = whole ] || core_killed "$status" "${words[@]}" --experiments "$runs" --amp-dtype "$amp"
            core "${words[@]}" --experiments "$runs" --amp-dtype "$amp" || return
        done
        for run in logit fitnets; do
            cmp "$folder/$amp-"{whole,killed}"/Digits/$run/alpha_0.5/ResNet20_to_ResNet20/0/last.pth" || return
        done
        grep -q '"number": *2' "$status" || { echo "$amp: it was not killed in time, so nothing was shown"; return 1; }
        echo "$amp: four epochs, and two, a kill and two, end with the same bytes"
    done
    rm -r "$folder"
}

# A teacher and six students beside each other, a few epochs on real images: the pace, and that every method learns.
campaign() {
    local folder=$out/campaign words
    [ -d "$here/data/Cifar10" ] || { echo "no images: bash benchmarks/gpu_check.sh pack"; return 1; }
    # 0.1 is too much for the first steps of so deep a network, and there are too few to recover
    words=(train --experiments "$folder" --data "$here/data" --dataset Cifar10 --seed 0 --epochs "$((3 * epochs))" --lr 0.02 --device "$device")
    core "${words[@]}" --model "$teacher" || return
    core "${words[@]}" --method logit --alpha 0.5 --teacher "$teacher" --student "$student" --paraphraser-epochs 1 \
        --beside fitnets:0.5 --beside attention_transfer:0.5 --beside factor_transfer:0.5 --beside rkd:0.5 --beside nst:0.5 || return
    "$python" -m benchmarks.gpu_parts campaign "$folder" >"$out/campaign.json"
}

# part NAME SECONDS: its output to $out/NAME.log; its end to $out/NAME.end
part() {
    local name=$1 limit=$2 status=0 start=$SECONDS
    if grep -qs '"exit": 0' "$out/$name.end"; then echo "$name: passed before"; return; fi
    export python device steps rounds students epochs teacher student arithmetics here out
    timeout -k 5 "$((limit * slower))" bash -c "$(declare -f core core_killed "$name"); $(declare -p methods); $name" \
        >"$out/$name.log" 2>&1 || status=$?
    printf '{"exit": %s, "seconds": %s}\n' "$status" "$((SECONDS - start))" >"$out/$name.end"
    printf '%-9s exit %s after %s s: %s\n' "$name" "$status" "$((SECONDS - start))" "$(tail -n 1 "$out/$name.log" | cut -c1-150)"
}

[ "${1:-}" = pack ] && { pack; exit; }
mkdir -p "$out"
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$here/whl/*.whl" >/dev/null && ! "$python" -c 'import pydantic, typer' 2>/dev/null; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$here"/whl/*.whl || exit 1
fi
export PYTHONPATH=$site:packages/kd-hpc/src:packages/kd-core/src:packages/kd-analysis/src PYTHONUNBUFFERED=1
export CUBLAS_WORKSPACE_CONFIG=${CUBLAS_WORKSPACE_CONFIG:-:4096:8}
[ $# -gt 0 ] || set -- where tests step profile resume campaign
for name in "$@"; do
    case $name in
        where) part where 20 ;;
        tests) part tests 100 ;;
        step) part step 140 ;;
        profile) part profile 40 ;;
        resume) part resume 70 ;;
        campaign) part campaign 105 ;;
        summary) ;;
        *) echo "no part is called $name: where tests step profile resume campaign summary" >&2; exit 2 ;;
    esac
done
"$python" -m benchmarks.gpu_parts summary "$out" --json "$out/gpu.json" --markdown "$out/gpu.md"
