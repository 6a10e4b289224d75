#!/usr/bin/env bash
# Runs the test vectors with the ssa command that users get. Ends with `N passed, N failed`.
#
#   SSA_CLI   use this ssa instead of building it
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

if [ -z "${SSA_CLI:-}" ]; then build_programs; fi
"${SSA_CLI:-$target_dir/release/ssa}" vectors rules/vectors/*.json
