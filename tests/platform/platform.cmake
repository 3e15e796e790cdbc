# One CTest per platform; a platform this host cannot run is skipped with its reason.
file(GLOB PLATFORM_TEST_SOURCES CONFIGURE_DEPENDS tests/platform/*.c tests/platform/*.S)
add_executable(platform_test ${PLATFORM_TEST_SOURCES} $<TARGET_OBJECTS:base>
  $<TARGET_OBJECTS:platform_freestanding> $<TARGET_OBJECTS:platform_hosted>)
target_compile_options(platform_test PRIVATE ${HOSTED_FLAGS})
target_compile_definitions(platform_test PRIVATE CVISOR_HOSTED=1)
target_link_libraries(platform_test PRIVATE pthread)
target_link_options(platform_test PRIVATE -pie)
foreach(platform ptrace systrap mpk)
  add_test(NAME platform.${platform} COMMAND platform_test ${platform})
  set_tests_properties(platform.${platform} PROPERTIES LABELS platform TIMEOUT 900 SKIP_RETURN_CODE 77)
endforeach()
