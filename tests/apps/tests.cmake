# Real programs of Debian's: each case is a script that runs natively first, then under runsc on each platform; output and status must agree.
# The slow platform runs the short cases only.
file(GLOB APP_CASES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/apps/cases/*.sh)
set(APPS_SLOW build_self gcc_make git node_workers python_multi)
if(NOT CVISOR_SANITIZE)
  foreach(case ${APP_CASES})
    get_filename_component(name ${case} NAME_WE)
    foreach(platform systrap ptrace mpk)
      set(flags)
      if(platform STREQUAL "mpk")
        set(flags --flag=--unsafe-mpk)
      endif()
      add_test(NAME apps.${name}.${platform} COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/lib/compare.py --runsc $<TARGET_FILE:runsc>
        --platform ${platform} ${flags} --known ${CMAKE_SOURCE_DIR}/tests/apps/known_diffs.txt --name ${name} --timeout 300
        -- sh ${case})
      set_tests_properties(apps.${name}.${platform} PROPERTIES LABELS apps TIMEOUT 700 SKIP_RETURN_CODE 77)
    endforeach()
  endforeach()
endif()
