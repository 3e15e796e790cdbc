# Real programs of Debian's: each case is a script that runs natively first, then under runsc on each platform; output and status must agree.
# The longest cases run on the default platform only.
file(GLOB APP_CASES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/apps/cases/*.sh)
set(APPS_LONG build_self)
if(NOT CVISOR_SANITIZE)
  foreach(case ${APP_CASES})
    get_filename_component(name ${case} NAME_WE)
    foreach(platform systrap ptrace mpk)
      if(name IN_LIST APPS_LONG AND NOT platform STREQUAL "systrap")
        continue()
      endif()
      set(flags)
      if(platform STREQUAL "mpk")
        set(flags --flag=--unsafe-mpk)
      endif()
      add_test(NAME apps.${name}.${platform} COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/lib/compare.py --runsc $<TARGET_FILE:runsc>
        --platform ${platform} ${flags} --known ${CMAKE_SOURCE_DIR}/tests/apps/known_diffs.txt --name ${name} --timeout 600
        -- sh ${case})
      set_tests_properties(apps.${name}.${platform} PROPERTIES LABELS apps TIMEOUT 1300 SKIP_RETURN_CODE 77)
    endforeach()
  endforeach()
endif()
