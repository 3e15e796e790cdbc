# The benchmark program; `make bench` runs bench/run with it.
add_executable(bench_micro EXCLUDE_FROM_ALL bench/micro.c)
target_compile_definitions(bench_micro PRIVATE _GNU_SOURCE)
target_link_options(bench_micro PRIVATE -static)
target_compile_options(bench_micro PRIVATE -fno-pie)
add_executable(bench_net EXCLUDE_FROM_ALL bench/net.c)
target_compile_definitions(bench_net PRIVATE _GNU_SOURCE)
target_link_options(bench_net PRIVATE -static)
