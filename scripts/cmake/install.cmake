# What `cmake --install` puts under the prefix: a tree that can be moved. The program finds oneDNN beside itself; every
# other shared library is the system's.
if(TARGET narrow)
  set_target_properties(narrow PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS narrow RUNTIME DESTINATION bin)

  # The real file under the name that the program asks for, so that no link has to be kept.
  get_target_property(dnnl_type DNNL::dnnl TYPE)
  if(dnnl_type STREQUAL SHARED_LIBRARY)
    install(FILES $<TARGET_FILE:DNNL::dnnl> DESTINATION lib RENAME $<TARGET_SONAME_FILE_NAME:DNNL::dnnl>)
  endif()
  foreach(licence onednn/share/doc/onednn onnx/share/doc/onnx)
    install(DIRECTORY ${NARROW_DEPS}/${licence} DESTINATION share/doc OPTIONAL)
  endforeach()

  install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs DESTINATION share/narrow OPTIONAL)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION share/doc/narrow OPTIONAL)
  install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/narrow OPTIONAL)
endif()
