# A shell that starts /bin/true again and again.
timed shell-true repeat "$(scaled 500 100)" /bin/true
