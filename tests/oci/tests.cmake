if(NOT CVISOR_SANITIZE)
  foreach(platform systrap ptrace)
    foreach(script cli descriptors lifecycle spec terminal faults chaos resources figures metrics trace dns usernet hostnet portforward)
      add_test(NAME oci.${script}.${platform}
               COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/${script}.sh $<TARGET_FILE:runsc> ${platform})
      set_tests_properties(oci.${script}.${platform} PROPERTIES LABELS oci TIMEOUT 600 SKIP_RETURN_CODE 77)
    endforeach()
    foreach(script debug install completion bwrap rootless)
      add_test(NAME oci.${script}.${platform}
               COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/${script}.sh $<TARGET_FILE:runsc> ${platform})
      set_tests_properties(oci.${script}.${platform} PROPERTIES LABELS oci TIMEOUT 300 SKIP_RETURN_CODE 77)
    endforeach()
  endforeach()
endif()
