# runsc compat against programs whose verdicts are known; its reports against their formats.
if(NOT CVISOR_SANITIZE)
  foreach(platform systrap ptrace)
    add_test(NAME compat.${platform} COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/compat/compat.py $<TARGET_FILE:runsc> ${platform})
    set_tests_properties(compat.${platform} PROPERTIES LABELS compat TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
endif()
