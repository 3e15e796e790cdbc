# /usr/share into a tmpfs file and out again; with QUICK, /usr/include.
from=$(scaled share include)
timed tar tar -C /usr -cf t.tar "$from"
mkdir out
timed untar tar -C out -xf t.tar
