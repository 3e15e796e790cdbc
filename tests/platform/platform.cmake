# One CTest per platform; a platform this host cannot run is skipped with its reason.
file(GLOB PLATFORM_TEST_SOURCES CONFIGURE_DEPENDS tests/platform/*.c tests/platform/*.S)
add_executable(platform_test ${PLATFORM_TEST_SOURCES} $<TARGET_OBJECTS:base>
  $<TARGET_OBJECTS:platform_freestanding> $<TARGET_OBJECTS:platform_hosted>)
target_compile_options(platform_test PRIVATE ${HOSTED_FLAGS})
target_compile_definitions(platform_test PRIVATE CVISOR_HOSTED=1)
target_link_libraries(platform_test PRIVATE pthread)
target_link_options(platform_test PRIVATE -pie)
foreach(platform ptrace systrap notify)
  add_test(NAME platform.${platform} COMMAND platform_test ${platform})
  set_tests_properties(platform.${platform} PROPERTIES LABELS platform TIMEOUT 900 SKIP_RETURN_CODE 77)
endforeach()

# mpk runs kernel code in guest processes, so its cases are compiled as the kernel is, without libc (inproc/shim.h).
if(NOT CVISOR_SANITIZE)
  set(INPROC_CASES)
  foreach(part run memory batch fault interrupt life end)
    list(APPEND INPROC_CASES tests/platform/case_${part}.c)
  endforeach()
  add_library(mpk_test_cases OBJECT ${INPROC_CASES} tests/platform/inproc/shim.c
    tests/platform/inproc/case_own.c)
  target_compile_options(mpk_test_cases PRIVATE ${FREESTANDING_FLAGS}
    -include ${CMAKE_SOURCE_DIR}/tests/platform/inproc/shim.h)
  target_compile_definitions(mpk_test_cases PRIVATE CVISOR_HOSTED=1)
  if(KERNEL_LTO)
    set(MPK_TEST_LTO -flinker-output=nolto-rel)
  endif()
  set(MPK_TEST_KERNEL ${CMAKE_BINARY_DIR}/mpk_test_kernel.o)
  add_custom_command(OUTPUT ${MPK_TEST_KERNEL}
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib ${MPK_TEST_LTO} -Wl,-T,${CMAKE_SOURCE_DIR}/sentry/base/kernel.ld -o ${MPK_TEST_KERNEL}
      $<TARGET_OBJECTS:base> $<TARGET_OBJECTS:mpk_test_cases>
    COMMAND ${CMAKE_OBJCOPY} --redefine-sym memcpy=cv_memcpy --redefine-sym memmove=cv_memmove
      --redefine-sym memset=cv_memset --redefine-sym memcmp=cv_memcmp --redefine-sym strlen=cv_strlen --redefine-sym strcmp=cv_strcmp ${MPK_TEST_KERNEL}
    DEPENDS $<TARGET_OBJECTS:base> $<TARGET_OBJECTS:mpk_test_cases> ${CMAKE_SOURCE_DIR}/sentry/base/kernel.ld
    COMMAND_EXPAND_LISTS VERBATIM)
  file(GLOB MPK_HOSTED CONFIGURE_DEPENDS platform/mpk/hosted/*.c platform/patch/*.c platform/patch/*.S)
  list(FILTER MPK_HOSTED EXCLUDE REGEX "platform/patch/table\\.c$")
  add_executable(mpk_test tests/platform/inproc/server.c tests/platform/guests.S ${MPK_TEST_KERNEL} ${MPK_HOSTED}
    $<TARGET_OBJECTS:platform_freestanding>)
  target_compile_options(mpk_test PRIVATE ${HOSTED_FLAGS})
  target_compile_definitions(mpk_test PRIVATE CVISOR_HOSTED=1)
  target_link_libraries(mpk_test PRIVATE pthread)
  target_link_options(mpk_test PRIVATE -static-pie -Wl,-T,${CMAKE_SOURCE_DIR}/sentry/base/kernel.ld
    -Wl,-z,relro,-z,now,-z,noexecstack)
  add_dependencies(mpk_test patch_helper)
  add_test(NAME platform.mpk COMMAND mpk_test)
  # Compiled-in calls of libc's memory functions would use vector registers, which are the guest's there.
  add_test(NAME lint.platform-implicit-calls COMMAND sh -c
    "! nm -u $<JOIN:$<TARGET_OBJECTS:platform_freestanding>, > | grep -E ' U (mem(cpy|set|move|cmp)|str[a-z]+)$'")
  set_tests_properties(lint.platform-implicit-calls PROPERTIES LABELS lint)
  set_tests_properties(platform.mpk PROPERTIES LABELS platform TIMEOUT 900 SKIP_RETURN_CODE 77)
endif()
