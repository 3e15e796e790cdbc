# This project's own kernel and unit tests, built and run inside itself.
src=$(cd "$(dirname "$0")/../../.." && pwd)
cmake -S "$src" -B b -G Ninja -DCVISOR_LTO=OFF >cmake.log 2>&1 || { tail -20 cmake.log; exit 1; }
ninja -C b -j2 unit_tests >ninja.log 2>&1 || { tail -20 ninja.log; exit 1; }
./b/unit_tests -j2 2>&1 | grep -o 'Failing: .*'
