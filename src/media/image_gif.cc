// GIF by giflib: the first frame. Reading stops there, whatever follows.
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/strings.h"
#include "media/image_codecs.h"

namespace gemma4::media {
namespace {

Error invalid(std::string_view problem) {
  return {ErrorCode::kInvalidData, str_cat("GIF: ", problem)};
}

int read_bytes(GifFileType* gif, GifByteType* target, int count) {
  auto& rest = *static_cast<std::span<const std::byte>*>(gif->UserData);
  const size_t given = std::min(rest.size(), static_cast<size_t>(count));
  std::memcpy(target, rest.data(), given);
  rest = rest.subspan(given);
  return static_cast<int>(given);
}

Error error_of(const GifFileType* gif) {
  const char* const text = GifErrorString(gif->Error);
  return invalid(text != nullptr ? text : "damaged or truncated");
}

// Reads up to the first frame's descriptor; the palette index that is transparent in it, or -1.
Result<int> find_first_frame(GifFileType* gif) {
  int transparent = NO_TRANSPARENT_COLOR;
  for (;;) {
    GifRecordType type;
    if (DGifGetRecordType(gif, &type) == GIF_ERROR) return error_of(gif);
    if (type == TERMINATE_RECORD_TYPE) return invalid("there is no picture in it");
    if (type == IMAGE_DESC_RECORD_TYPE) {
      if (DGifGetImageDesc(gif) == GIF_ERROR) return error_of(gif);
      return transparent;
    }
    if (type != EXTENSION_RECORD_TYPE) continue;
    int code = 0;
    GifByteType* data = nullptr;  // the length in front
    if (DGifGetExtension(gif, &code, &data) == GIF_ERROR) return error_of(gif);
    while (data != nullptr) {
      GraphicsControlBlock control;
      if (code == GRAPHICS_EXT_FUNC_CODE &&
          DGifExtensionToGCB(data[0], data + 1, &control) == GIF_OK)
        transparent = control.TransparentColor;
      if (DGifGetExtensionNext(gif, &data) == GIF_ERROR) return error_of(gif);
    }
  }
}

using Palette = std::array<std::array<uint8_t, 3>, 256>;

// Shades of grey where the file has no colours, black beyond those it has.
Palette palette_of(const GifFileType* gif) {
  Palette palette{};
  const ColorMapObject* const map =
      gif->Image.ColorMap != nullptr ? gif->Image.ColorMap : gif->SColorMap;
  for (int i = 0; i < 256; ++i) {
    const auto grey = static_cast<uint8_t>(i);
    auto& colour = palette[static_cast<size_t>(i)];
    if (map == nullptr)
      colour = {grey, grey, grey};
    else if (i < map->ColorCount)
      colour = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
  }
  return palette;
}

Status read_frame(GifFileType* gif, const Palette& palette, Image& image) {
  const GifImageDesc& frame = gif->Image;
  std::vector<GifPixelType> line(static_cast<size_t>(frame.Width));
  const auto read_row = [&](int row) -> Status {
    if (DGifGetLine(gif, line.data(), frame.Width) == GIF_ERROR) return error_of(gif);
    uint8_t* to = image.rgb.data() + 3 * ((frame.Top + row) * image.width + frame.Left);
    for (const GifPixelType index : line) to = std::copy_n(palette[index].data(), 3, to);
    return {};
  };
  struct Pass {
    int first;
    int step;
  };
  constexpr Pass kInterlaced[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  constexpr Pass kPlain[] = {{0, 1}};
  const std::span<const Pass> passes =
      frame.Interlace ? std::span<const Pass>(kInterlaced) : std::span<const Pass>(kPlain);
  for (const auto& [first, step] : passes)
    for (int row = first; row < frame.Height; row += step) G4_RETURN_IF_ERROR(read_row(row));
  return {};
}

}  // namespace

Result<DecodedImage> decode_gif(std::span<const std::byte> file, const ImageLimits& limits) {
  int error = 0;
  const auto close = [](GifFileType* gif) { DGifCloseFile(gif, nullptr); };
  const std::unique_ptr<GifFileType, decltype(close)> gif(DGifOpen(&file, read_bytes, &error),
                                                          close);
  if (gif == nullptr) {
    const char* const text = GifErrorString(error);
    return invalid(text != nullptr ? text : "damaged or truncated");
  }
  G4_RETURN_IF_ERROR(check_size(gif->SWidth, gif->SHeight, limits));
  G4_ASSIGN_OR_RETURN(const int transparent, find_first_frame(gif.get()));
  const GifImageDesc& frame = gif->Image;
  if (frame.Left < 0 || frame.Top < 0 || frame.Width < 1 || frame.Height < 1)
    return invalid("the first frame has no pixels");
  // A frame that reaches beyond the picture makes it larger, as in the reference.
  DecodedImage decoded;
  Image& image = decoded.image;
  image.width = std::max<int64_t>(gif->SWidth, int64_t{frame.Left} + frame.Width);
  image.height = std::max<int64_t>(gif->SHeight, int64_t{frame.Top} + frame.Height);
  G4_RETURN_IF_ERROR(check_size(image.width, image.height, limits));
  // What the frame leaves free has its transparent colour, else the first one, as in the reference.
  const Palette palette = palette_of(gif.get());
  const auto& background = palette[static_cast<size_t>(std::max(transparent, 0))];
  image.rgb.reserve(static_cast<size_t>(3 * image.width * image.height));
  for (int64_t pixel = 0; pixel < image.width * image.height; ++pixel)
    image.rgb.insert(image.rgb.end(), background.begin(), background.end());
  G4_RETURN_IF_ERROR(read_frame(gif.get(), palette, image));
  return decoded;
}

}  // namespace gemma4::media
