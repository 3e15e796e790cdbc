# A part of this project, built from scratch.
cmake -S "$SOURCE" -B build -DCVISOR_LTO=OFF >/dev/null
timed make-j2 make -C build -j2 $(scaled "base mm fs_core" base)
