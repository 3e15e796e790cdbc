# Hostile system calls against each platform: the program's own last line and status say whether the kernel went on.
if(NOT CVISOR_SANITIZE)
  add_executable(fuzz_syscall_args tests/fuzz/syscall_args.c)
  target_compile_definitions(fuzz_syscall_args PRIVATE _GNU_SOURCE)
  target_compile_options(fuzz_syscall_args PRIVATE -fno-pie)
  target_link_options(fuzz_syscall_args PRIVATE -static)
  foreach(platform systrap ptrace)
    add_test(NAME fuzz.syscall_args.${platform}
      COMMAND $<TARGET_FILE:runsc> --network=none --platform ${platform} --log /dev/null do -- $<TARGET_FILE:fuzz_syscall_args> 60)
    set_tests_properties(fuzz.syscall_args.${platform} PROPERTIES LABELS fuzz TIMEOUT 600 PASS_REGULAR_EXPRESSION "survived")
  endforeach()
endif()

# Hostile frames for netstack, hostile segments for TCP: libFuzzer targets; they need clang and a build with the
# address sanitizer. tests/fuzz/README.md says how to run them.
if(CVISOR_SANITIZE MATCHES address AND CMAKE_C_COMPILER_ID MATCHES Clang)
  foreach(target net_frames net_tcp)
    add_executable(fuzz_${target} tests/fuzz/${target}.c ${KERNEL_LINK} $<TARGET_OBJECTS:platform_freestanding>
      $<TARGET_OBJECTS:platform_fake>)
    target_compile_definitions(fuzz_${target} PRIVATE CVISOR_HOSTED_KERNEL=1)
    target_compile_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer -pie -Wl,-T,${CMAKE_SOURCE_DIR}/sentry/base/kernel.ld)
    target_link_libraries(fuzz_${target} PRIVATE pthread)
    if(TARGET generated)
      add_dependencies(fuzz_${target} generated)
    endif()
    add_test(NAME fuzz.${target} COMMAND fuzz_${target} -max_total_time=30 -max_len=4096)
    set_tests_properties(fuzz.${target} PROPERTIES LABELS fuzz TIMEOUT 120)
  endforeach()
  # ELF files for runsc check: a corpus of small programs helps.
  add_executable(fuzz_elf_check tests/fuzz/elf_check.c runsc-cli/check/elf_file.c runsc-cli/check/elf_tables.c
    runsc-cli/check/elf_functions.c runsc-cli/check/code.c runsc-cli/check/scan.c)
  target_compile_definitions(fuzz_elf_check PRIVATE _GNU_SOURCE)
  target_compile_options(fuzz_elf_check PRIVATE -fsanitize=fuzzer)
  target_link_options(fuzz_elf_check PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_elf_check PRIVATE capstone)
  add_test(NAME fuzz.elf_check COMMAND fuzz_elf_check -max_total_time=30 -max_len=65536)
  set_tests_properties(fuzz.elf_check PROPERTIES LABELS fuzz TIMEOUT 120)
endif()
