# Small static programs, each compared with its native run on every platform. Output must be the same everywhere: no pids, times, addresses.
if(NOT CVISOR_SANITIZE)
  file(GLOB ABI_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/abi/*.c)
  foreach(source ${ABI_SOURCES})
    get_filename_component(name ${source} NAME_WE)
    add_executable(abi_${name} ${source})
    target_compile_definitions(abi_${name} PRIVATE _GNU_SOURCE)
    target_compile_options(abi_${name} PRIVATE -fno-pie -Wno-missing-prototypes)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
      # They give the kernel what no program should; the compiler sees that.
      target_compile_options(abi_${name} PRIVATE -Wno-nonnull -Wno-array-bounds -Wno-stringop-overflow
        -Wno-stringop-overread)
    endif()
    target_link_options(abi_${name} PRIVATE -static -no-pie)
    target_link_libraries(abi_${name} PRIVATE pthread)
    # notify is systrap but for how calls come in: the programs that put that to the test.
    set(platforms systrap ptrace mpk)
    if(name MATCHES "^(signals|process|futex)$")
      list(APPEND platforms notify)
    endif()
    foreach(platform ${platforms})
      set(flags)
      if(platform STREQUAL "mpk")
        set(flags --flag=--unsafe-mpk)
      endif()
      add_test(NAME abi.${name}.${platform} COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/lib/compare.py --runsc $<TARGET_FILE:runsc>
        --platform ${platform} ${flags} --known ${CMAKE_SOURCE_DIR}/tests/abi/known_diffs.txt --name ${name} --timeout 100
        -- $<TARGET_FILE:abi_${name}>)
      set_tests_properties(abi.${name}.${platform} PROPERTIES LABELS abi TIMEOUT 250 SKIP_RETURN_CODE 77)
    endforeach()
    # Sockets that are the host's own, on a loopback of the test's.
    if(name STREQUAL "inet")
      foreach(platform systrap ptrace mpk)
        set(flags --flag=--network=host)
        if(platform STREQUAL "mpk")
          list(APPEND flags --flag=--unsafe-mpk)
        endif()
        add_test(NAME abi.${name}.hostnet.${platform} COMMAND ${CMAKE_SOURCE_DIR}/tests/lib/own_netns.sh ${PYTHON3}
          ${CMAKE_SOURCE_DIR}/tests/lib/compare.py --runsc $<TARGET_FILE:runsc> --platform ${platform} ${flags}
          --known ${CMAKE_SOURCE_DIR}/tests/abi/known_diffs.txt --name ${name}.hostnet --timeout 100 -- $<TARGET_FILE:abi_${name}>)
        set_tests_properties(abi.${name}.hostnet.${platform} PROPERTIES LABELS abi TIMEOUT 250 SKIP_RETURN_CODE 77)
      endforeach()
    endif()
    # Tracing changes nothing that a guest sees.
    add_test(NAME abi.${name}.traced COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/lib/compare.py --runsc $<TARGET_FILE:runsc>
      --flag=--log=/dev/null --flag=--strace --flag=--strace-format=json --known ${CMAKE_SOURCE_DIR}/tests/abi/known_diffs.txt
      --name ${name} --timeout 100 -- $<TARGET_FILE:abi_${name}>)
    set_tests_properties(abi.${name}.traced PROPERTIES LABELS abi TIMEOUT 250 SKIP_RETURN_CODE 77)
  endforeach()
endif()
