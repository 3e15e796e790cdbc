# CTest entries. Labels: unit (one Criterion executable over tests/unit), lint.
find_program(PYTHON3 python3 REQUIRED)

if(CRITERION_FOUND)
  file(GLOB UNIT_SOURCES CONFIGURE_DEPENDS tests/unit/*.c)
  # The patch helper's own code, in this process.
  set(PATCH_SOURCES platform/patch/build.c platform/patch/shapes.c platform/patch/helper/scan.c platform/patch/helper/plan.c
    platform/patch/helper/pads.c platform/patch/helper/decode.c platform/patch/helper/length.c)
  # The parts of the command line that only read and judge.
  file(GLOB CLI_PARTS CONFIGURE_DEPENDS runsc-cli/compat/kind*.c)
  list(APPEND CLI_PARTS runsc-cli/error.c runsc-cli/compat/text.c runsc-cli/compat/known.c runsc-cli/compat/compare.c
    runsc-cli/compat/programs.c)
  set_source_files_properties(${CLI_PARTS} PROPERTIES COMPILE_DEFINITIONS _GNU_SOURCE)
  add_executable(unit_tests ${UNIT_SOURCES} ${PATCH_SOURCES} ${CLI_PARTS} ${KERNEL_LINK} $<TARGET_OBJECTS:platform_freestanding>
    $<TARGET_OBJECTS:platform_fake>)
  target_link_libraries(unit_tests PRIVATE capstone)
  target_compile_options(unit_tests PRIVATE ${HOSTED_FLAGS})
  # Tests include libc's headers: the kernel's macros over its functions stay off.
  target_compile_definitions(unit_tests PRIVATE CVISOR_HOSTED=1)
  if(CVISOR_SANITIZE)
    target_compile_definitions(unit_tests PRIVATE CVISOR_HOSTED_KERNEL=1)
  endif()
  if(CVISOR_SANITIZE MATCHES thread)
    target_sources(unit_tests PRIVATE tests/lib/standin/standin.c)
    target_include_directories(unit_tests PRIVATE tests/lib/standin)
    target_link_libraries(unit_tests PRIVATE pthread)
  else()
    target_include_directories(unit_tests PRIVATE ${CRITERION_INCLUDE_DIRS})
    target_link_libraries(unit_tests PRIVATE ${CRITERION_LIBRARIES} pthread)
  endif()
  target_link_options(unit_tests PRIVATE -pie -Wl,-T,${CMAKE_SOURCE_DIR}/sentry/base/kernel.ld)
  if(TARGET generated)
    add_dependencies(unit_tests generated)
  endif()
  add_test(NAME unit COMMAND unit_tests -j2)
  # Tests end in forked children that share Criterion's own heap: leaks are counted by the slab fixture.
  set_tests_properties(unit PROPERTIES LABELS unit TIMEOUT 600
    ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0")
endif()

function(lint_test name)
  add_test(NAME lint.${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(lint.${name} PROPERTIES LABELS lint)
endfunction()

lint_test(layers ${PYTHON3} tests/lint/layers.py)
lint_test(sizes ${PYTHON3} tests/lint/sizes.py)
if(NOT CVISOR_SANITIZE)
  lint_test(freestanding tests/lint/freestanding.sh ${KERNEL_OBJECT})
  # What can open a protection key, in the code that mpk's guests have mapped.
  lint_test(key-sites ${PYTHON3} tests/lint/key_sites.py $<TARGET_FILE:runsc>)
  lint_test(no-mutable-globals tests/lint/no-mutable-globals.sh ${KERNEL_OBJECT})
endif()

foreach(part abi oci debug apps escape fuzz conformance net compat check)
  include(tests/${part}/tests.cmake OPTIONAL)
endforeach()
include(tests/platform/platform.cmake)
