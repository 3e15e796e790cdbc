# runsc check: programs whose calls are known, calls that were seen, broken files.
if(NOT CVISOR_SANITIZE)
  add_test(NAME check COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/check/check.py $<TARGET_FILE:runsc>)
  set_tests_properties(check PROPERTIES LABELS check TIMEOUT 600)
endif()
