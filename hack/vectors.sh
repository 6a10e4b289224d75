#!/usr/bin/env bash
# Runs the files of test vectors by the ssa command, as its users have it. Ends by `N passed, N failed`.
#
#   SSA_CLI   this ssa instead of the one built
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

if [ -z "${SSA_CLI:-}" ]; then build_programs; fi
"${SSA_CLI:-$target_dir/release/ssa}" vectors rules/vectors/*.json
