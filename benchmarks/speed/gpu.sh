#!/usr/bin/env bash
# Everything that benchmarks/speed/gpu.py measures on a graphics card, in under two minutes.
# Figures go to standard output and, as JSON, to the file that is given (gpu.json by default).
#
#   pip install sklearn-rcrnn      # or: pip install -e .
#   benchmarks/speed/gpu.sh [FIGURES.json] [options of gpu.py]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
figures=${1:-gpu.json}
shift || true
export PYTHONUNBUFFERED=1
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
fi
exec "${PYTHON:-python3}" "$here/gpu.py" --json "$figures" "$@"
