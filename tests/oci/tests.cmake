if(NOT CVISOR_SANITIZE)
  foreach(platform systrap ptrace)
    add_test(NAME oci.cli.${platform} COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/cli.sh $<TARGET_FILE:runsc> ${platform})
    add_test(NAME oci.descriptors.${platform}
             COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/descriptors.sh $<TARGET_FILE:runsc> ${platform})
    set_tests_properties(oci.cli.${platform} oci.descriptors.${platform} PROPERTIES LABELS oci TIMEOUT 300 SKIP_RETURN_CODE 77)
  endforeach()
endif()
