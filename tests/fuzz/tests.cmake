# Hostile system calls against each platform: the program's own last line and status say whether the kernel went on.
if(NOT CVISOR_SANITIZE)
  add_executable(fuzz_syscall_args tests/fuzz/syscall_args.c)
  target_compile_definitions(fuzz_syscall_args PRIVATE _GNU_SOURCE)
  target_compile_options(fuzz_syscall_args PRIVATE -fno-pie)
  target_link_options(fuzz_syscall_args PRIVATE -static)
  foreach(platform systrap ptrace)
    add_test(NAME fuzz.syscall_args.${platform}
      COMMAND $<TARGET_FILE:runsc> --platform ${platform} --log /dev/null do -- $<TARGET_FILE:fuzz_syscall_args> 60)
    set_tests_properties(fuzz.syscall_args.${platform} PROPERTIES LABELS fuzz TIMEOUT 600 PASS_REGULAR_EXPRESSION "survived")
  endforeach()
endif()
