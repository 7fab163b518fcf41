# The largest tiny checkpoint lies packed in the tree, to keep it small; it is unpacked where it lies.
set(packed "${PROJECT_SOURCE_DIR}/tests/golden/tiny-26b/model.tar.xz")
cmake_path(GET packed PARENT_PATH folder)
if("${packed}" IS_NEWER_THAN "${folder}/model.safetensors")
  file(ARCHIVE_EXTRACT INPUT "${packed}" DESTINATION "${folder}" TOUCH)
endif()
