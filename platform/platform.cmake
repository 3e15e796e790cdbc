# Platforms. host/ and mpk/ run inside the kernel's world and are freestanding; the rest is hosted.
set(PLATFORM_HOSTED_SOURCES)
set(PLATFORM_FREESTANDING_SOURCES)
file(GLOB PLATFORM_FREESTANDING_SOURCES CONFIGURE_DEPENDS platform/host/*.c platform/platform.c platform/patch/table.c)
file(GLOB PLATFORM_HOSTED_SOURCES CONFIGURE_DEPENDS platform/remote/*.c platform/ptrace/*.c platform/systrap/*.c platform/systrap/*.S platform/notify/*.c platform/ptrace/*.S platform/patch/*.c platform/patch/*.S)
list(FILTER PLATFORM_HOSTED_SOURCES EXCLUDE REGEX "platform/patch/table\\.c$")
# Sanitizers need a process of their own: what runs in the guest's is left out with them.
if(NOT CVISOR_SANITIZE)
  file(GLOB MPK_SOURCES CONFIGURE_DEPENDS platform/mpk/*.c platform/mpk/*.S)
  list(APPEND PLATFORM_FREESTANDING_SOURCES ${MPK_SOURCES})
  file(GLOB MPK_HOSTED_SOURCES CONFIGURE_DEPENDS platform/mpk/hosted/*.c)
  list(APPEND PLATFORM_HOSTED_SOURCES ${MPK_HOSTED_SOURCES})
endif()
file(GLOB PLATFORM_FAKE_SOURCES CONFIGURE_DEPENDS platform/fake/*.c)
add_library(platform_freestanding OBJECT ${PLATFORM_FREESTANDING_SOURCES})
target_compile_options(platform_freestanding PRIVATE ${FREESTANDING_FLAGS})
add_library(platform_hosted OBJECT ${PLATFORM_HOSTED_SOURCES})
target_compile_options(platform_hosted PRIVATE ${HOSTED_FLAGS})
add_library(platform_fake OBJECT ${PLATFORM_FAKE_SOURCES})

# The systrap stub: freestanding code for guest processes, linked apart into one flat blob that blob.S embeds.
set(STUB_DIR ${CMAKE_SOURCE_DIR}/platform/systrap/stub)
set(STUB_BLOB ${CMAKE_BINARY_DIR}/systrap_stub.bin)
set(STUB_FLAGS -std=gnu17 -O2 -ffreestanding -nostdlib -fno-stack-protector -mgeneral-regs-only -U_FORTIFY_SOURCE
  -fno-asynchronous-unwind-tables -fcf-protection=none -fPIE -fvisibility=hidden -fno-common -fno-strict-aliasing
  -fno-jump-tables -mno-red-zone -Wall -Wextra -Werror -Wvla -Wmissing-prototypes -Wno-unused-parameter)
file(GLOB STUB_SOURCES CONFIGURE_DEPENDS ${STUB_DIR}/*.c ${STUB_DIR}/*.S)
file(GLOB STUB_HEADERS CONFIGURE_DEPENDS ${STUB_DIR}/*.h ${CMAKE_SOURCE_DIR}/platform/systrap/*.h)
add_custom_command(OUTPUT ${STUB_BLOB}
  COMMAND ${CMAKE_C_COMPILER} ${STUB_FLAGS} -I${CMAKE_SOURCE_DIR} -static -Wl,--build-id=none -Wl,-T,${STUB_DIR}/stub.lds
    -o ${CMAKE_BINARY_DIR}/systrap_stub.elf ${STUB_SOURCES}
  COMMAND ${CMAKE_OBJCOPY} -O binary -j .blob ${CMAKE_BINARY_DIR}/systrap_stub.elf ${STUB_BLOB}
  DEPENDS ${STUB_SOURCES} ${STUB_HEADERS} ${STUB_DIR}/stub.lds VERBATIM)
add_custom_target(systrap_stub DEPENDS ${STUB_BLOB})
add_dependencies(platform_hosted systrap_stub)
set_source_files_properties(platform/systrap/blob.S PROPERTIES OBJECT_DEPENDS ${STUB_BLOB}
  COMPILE_OPTIONS "-Wa,-I${CMAKE_BINARY_DIR}")

# The patch helper: a process of its own, freestanding but for capstone (of which only x86 is linked), as one flat image
# that blob.S embeds.
set(HELPER_DIR ${CMAKE_SOURCE_DIR}/platform/patch/helper)
set(HELPER_BLOB ${CMAKE_BINARY_DIR}/patch_helper.bin)
set(HELPER_FLAGS -std=gnu17 -O2 -ffreestanding -nostdlib -static -no-pie -fno-pic -fno-pie -fno-stack-protector -U_FORTIFY_SOURCE
  -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing -fno-builtin
  -Wall -Wextra -Werror -Wvla -Wno-unused-parameter -Wl,--build-id=none -Wl,--no-warn-rwx-segments)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND HELPER_FLAGS -fno-tree-loop-distribute-patterns)
else()
  list(APPEND HELPER_FLAGS -Wno-unused-command-line-argument)
endif()
file(GLOB HELPER_SOURCES CONFIGURE_DEPENDS ${HELPER_DIR}/*.c ${HELPER_DIR}/*.S)
file(GLOB HELPER_HEADERS CONFIGURE_DEPENDS ${HELPER_DIR}/*.h ${CMAKE_SOURCE_DIR}/platform/patch/*.h)
add_custom_command(OUTPUT ${HELPER_BLOB}
  COMMAND ${CMAKE_C_COMPILER} ${HELPER_FLAGS} -I${CMAKE_SOURCE_DIR} -Wl,-T,${HELPER_DIR}/helper.lds
    -o ${CMAKE_BINARY_DIR}/patch_helper.elf ${HELPER_SOURCES} ${CMAKE_SOURCE_DIR}/platform/patch/shapes.c -l:libcapstone.a
  COMMAND ${CMAKE_OBJCOPY} -O binary -j .blob ${CMAKE_BINARY_DIR}/patch_helper.elf ${HELPER_BLOB}
  DEPENDS ${HELPER_SOURCES} ${HELPER_HEADERS} ${CMAKE_SOURCE_DIR}/platform/patch/shapes.c ${HELPER_DIR}/helper.lds VERBATIM)
add_custom_target(patch_helper DEPENDS ${HELPER_BLOB})
add_dependencies(platform_hosted patch_helper)
set_source_files_properties(platform/patch/blob.S PROPERTIES OBJECT_DEPENDS ${HELPER_BLOB}
  COMPILE_OPTIONS "-Wa,-I${CMAKE_BINARY_DIR}")
