# Targets call CMake and CTest; nothing is built here. `make run` and `make test` need only a Debian 12 and root.
BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=

.PHONY: all build packages install run test test-clients test-pku sanitize clang tsan lint bench bench-compare clean
all: build

packages:
	@./tests/lib/install-packages debian-packages.txt

$(BUILD)/build.ninja: CMakeLists.txt
	cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS)

build: packages $(BUILD)/build.ninja
	ninja -C $(BUILD) -j $(JOBS)

# runsc, its man pages and shell completion; below DESTDIR, if given.
PREFIX ?= /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share
install: build
	install -D -m 755 $(BUILD)/runsc $(DESTDIR)$(PREFIX)/bin/runsc
	mkdir -p $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions
	$(BUILD)/runsc help --man-pages $(SHARE)/man/man1
	$(BUILD)/runsc completion bash > $(SHARE)/bash-completion/completions/runsc
	$(BUILD)/runsc completion zsh > $(SHARE)/zsh/site-functions/_runsc

run: build
	./tests/lib/tour $(BUILD)/runsc

test: build
	# One at a time: several tests load the whole machine.
	ctest --test-dir $(BUILD) --output-on-failure

# The mpk platform with protection keys, on an emulated processor that has them (tests/pku).
test-pku: build
	./tests/pku/rig $(BUILD)

# containerd and podman over runsc, where they are installed; nothing is installed here.
test-clients: build
	./tests/oci/clients.sh $(BUILD)/runsc systrap
	CHAOS_COUNT=200 ./tests/oci/chaos.sh $(BUILD)/runsc systrap

sanitize: packages
	cmake -S . -B $(BUILD)-asan -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCVISOR_SANITIZE=address,undefined
	ninja -C $(BUILD)-asan -j $(JOBS)
	ctest --test-dir $(BUILD)-asan --output-on-failure -j $(JOBS) -L unit

# The whole tree compiles without warnings with clang too.
clang: packages
	cmake -S . -B $(BUILD)-clang -G Ninja -DCMAKE_C_COMPILER=clang -DCVISOR_LTO=OFF
	ninja -C $(BUILD)-clang -j $(JOBS) kernel_object platform_freestanding platform_hosted

tsan: packages
	cmake -S . -B $(BUILD)-tsan -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCVISOR_SANITIZE=thread
	ninja -C $(BUILD)-tsan -j $(JOBS)
	ctest --test-dir $(BUILD)-tsan --output-on-failure -j $(JOBS) -L unit

lint:
	python3 tests/lint/layers.py
	python3 tests/lint/sizes.py

# Every benchmark on every platform, against native: writes bench/results.md.
bench: build
	./bench/run $(BUILD) --markdown bench/results.md

# Against another build of runsc: make bench-compare OLD=path
bench-compare: build
	ninja -C $(BUILD) bench_micro
	./bench/compare $(OLD) $(BUILD)/runsc

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-clang
