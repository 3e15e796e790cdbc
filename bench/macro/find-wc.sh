# Every file below /usr read once; with QUICK, below /usr/include only.
timed find-xargs-wc sh -c "find $(scaled /usr /usr/include) -xdev -type f -print0 | xargs -0 -P2 wc -c"
