# Start-up of python3, with a few modules of its library; 20 in a row.
python=$(python3 -c 'import sys; print(sys.executable)')
timed python-start-up repeat "$(scaled 20 5)" "$python" -c 'import json, re, subprocess'
