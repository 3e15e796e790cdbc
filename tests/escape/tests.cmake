# Hostile programs: each prints what happened; a line with FAIL, or no last line, fails.
if(NOT CVISOR_SANITIZE)
  foreach(name entry32 bombs)
    add_executable(escape_${name} tests/escape/${name}.c)
    target_compile_definitions(escape_${name} PRIVATE _GNU_SOURCE)
    target_compile_options(escape_${name} PRIVATE -fno-pie)
    target_link_options(escape_${name} PRIVATE -static -no-pie)
    target_link_libraries(escape_${name} PRIVATE pthread)
  endforeach()
  foreach(platform systrap ptrace)
    add_test(NAME escape.entry32.${platform} COMMAND $<TARGET_FILE:runsc> --platform ${platform} do -- $<TARGET_FILE:escape_entry32>)
    set_tests_properties(escape.entry32.${platform} PROPERTIES LABELS escape TIMEOUT 60
      PASS_REGULAR_EXPRESSION "ok: int 0x80.*ok: vsyscall" FAIL_REGULAR_EXPRESSION "FAIL")
  endforeach()
  # Not about escapes there, as mpk does not isolate yet, but what these calls do is the same.
  add_test(NAME escape.entry32.mpk COMMAND $<TARGET_FILE:runsc> --platform mpk --unsafe-mpk do -- $<TARGET_FILE:escape_entry32>)
  set_tests_properties(escape.entry32.mpk PROPERTIES LABELS escape TIMEOUT 60
    PASS_REGULAR_EXPRESSION "ok: int 0x80.*ok: vsyscall" FAIL_REGULAR_EXPRESSION "FAIL")
  add_test(NAME escape.host_interfaces COMMAND ${CMAKE_SOURCE_DIR}/tests/escape/host_interfaces.sh $<TARGET_FILE:runsc> systrap)
  set_tests_properties(escape.host_interfaces PROPERTIES LABELS escape TIMEOUT 60)
  add_test(NAME escape.bombs.systrap COMMAND $<TARGET_FILE:runsc> --platform systrap do -- $<TARGET_FILE:escape_bombs>)
  set_tests_properties(escape.bombs.systrap PROPERTIES LABELS escape TIMEOUT 300 RUN_SERIAL ON
    PASS_REGULAR_EXPRESSION "fork: refused with EAGAIN, more than 1000 before: yes.*the sandbox goes on" FAIL_REGULAR_EXPRESSION "FAIL")
endif()
