# The report helper: built as platform/patch's is (platform/platform.cmake), whose start, memory and stand-ins it shares.
set(REPORT_DIR ${CMAKE_SOURCE_DIR}/sentry/boot/report)
set(REPORT_BLOB ${CMAKE_BINARY_DIR}/report_helper.bin)
file(GLOB REPORT_HELPER_SOURCES CONFIGURE_DEPENDS ${REPORT_DIR}/helper/*.c)
list(APPEND REPORT_HELPER_SOURCES ${HELPER_DIR}/start.S ${HELPER_DIR}/memory.c ${HELPER_DIR}/archs.c ${CMAKE_SOURCE_DIR}/sentry/base/fmt.c
  ${CMAKE_SOURCE_DIR}/sentry/base/string.c)
file(GLOB REPORT_HEADERS CONFIGURE_DEPENDS ${REPORT_DIR}/helper/*.h ${REPORT_DIR}/wire.h ${HELPER_DIR}/*.h)
add_custom_command(OUTPUT ${REPORT_BLOB}
  COMMAND ${CMAKE_C_COMPILER} ${HELPER_FLAGS} -I${CMAKE_SOURCE_DIR} -Wl,-T,${HELPER_DIR}/helper.lds
    -o ${CMAKE_BINARY_DIR}/report_helper.elf ${REPORT_HELPER_SOURCES} -l:libcapstone.a
  COMMAND ${CMAKE_OBJCOPY} -O binary -j .blob ${CMAKE_BINARY_DIR}/report_helper.elf ${REPORT_BLOB}
  DEPENDS ${REPORT_HELPER_SOURCES} ${REPORT_HEADERS} ${HELPER_DIR}/helper.lds VERBATIM)
set_source_files_properties(${REPORT_DIR}/blob.S PROPERTIES OBJECT_DEPENDS ${REPORT_BLOB} COMPILE_OPTIONS "-Wa,-I${CMAKE_BINARY_DIR}")
list(APPEND BOOT_SOURCES ${REPORT_DIR}/report.c ${REPORT_DIR}/talk.c ${REPORT_DIR}/blob.S)
