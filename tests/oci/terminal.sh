#!/bin/bash
# Terminals: terminal.py on a bundle. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
bundle '["true"]'
timeout -s KILL 200 python3 "$(dirname "$0")/terminal.py" "$1 --platform $2" "$root" "$b"
