# A script names containers, and so their cgroups, alike on each platform: one of them at a time.
if(NOT CVISOR_SANITIZE)
  foreach(platform systrap ptrace)
    foreach(script cli descriptors lifecycle spec terminal faults chaos resources figures metrics trace dns usernet hostnet portforward)
      add_test(NAME oci.${script}.${platform}
               COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/${script}.sh $<TARGET_FILE:runsc> ${platform})
      set_tests_properties(oci.${script}.${platform} PROPERTIES LABELS oci RESOURCE_LOCK oci.${script} TIMEOUT 600 SKIP_RETURN_CODE 77)
    endforeach()
    foreach(script debug install completion bwrap rootless)
      add_test(NAME oci.${script}.${platform}
               COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/${script}.sh $<TARGET_FILE:runsc> ${platform})
      set_tests_properties(oci.${script}.${platform} PROPERTIES LABELS oci RESOURCE_LOCK oci.${script} TIMEOUT 300 SKIP_RETURN_CODE 77)
    endforeach()
  endforeach()
  foreach(platform systrap mpk)
    add_test(NAME oci.pods.${platform} COMMAND ${CMAKE_SOURCE_DIR}/tests/oci/pods.sh $<TARGET_FILE:runsc> ${platform})
    set_tests_properties(oci.pods.${platform} PROPERTIES LABELS oci TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
endif()
