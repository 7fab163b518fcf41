# Run as a script: files of a folder become one C++ source, so that the program carries them.
#
#   cmake -DROOT=FOLDER "-DFILES=a.js b/c.css" -DOUTPUT=FILE.cc -P embed_files.cmake
#
# Files are text without )embedded". The source defines page_files() of serve/page.h.
cmake_minimum_required(VERSION 3.25)
string(REPLACE " " ";" files "${FILES}")
set(table "")
foreach(name ${files})
  file(READ "${ROOT}/${name}" text)
  file(SHA256 "${ROOT}/${name}" hash)
  string(SUBSTRING ${hash} 0 16 hash)
  string(APPEND table "    {\"${name}\", \"\\\"${hash}\\\"\", R\"embedded(${text})embedded\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made by cmake/embed_files.cmake.
#include \"serve/page.h\"

namespace gemma4::serve {

std::span<const PageFile> page_files() {
  static constexpr PageFile kFiles[] = {
${table}  };
  return kFiles;
}

}  // namespace gemma4::serve
")
