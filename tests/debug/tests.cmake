if(NOT CVISOR_SANITIZE)
  foreach(platform systrap ptrace)
    foreach(script core gdbserver bug report)
      add_test(NAME debug.${script}.${platform}
               COMMAND ${CMAKE_SOURCE_DIR}/tests/debug/${script}.sh $<TARGET_FILE:runsc> ${platform})
      set_tests_properties(debug.${script}.${platform} PROPERTIES LABELS debug TIMEOUT 600 SKIP_RETURN_CODE 77)
    endforeach()
  endforeach()
endif()
