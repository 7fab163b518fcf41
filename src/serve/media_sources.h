// Media that messages name instead of carrying: files that were uploaded, addresses on the web.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/messages.h"
#include "http/remote_files.h"
#include "serve/upload_store.h"

namespace gemma4::serve {

// A picture, sound or film, by what is in it. `name` may hint at its format. Errors: as those of
// media::decode_sound.
Result<chat::ContentPart::Type> kind_of_file(std::string_view bytes, const std::string& name = {});

// Every named medium of `messages` becomes a data URL, every kFile the kind that it is. What is a
// data URL already stays. `remote` null: addresses are refused. kInvalidArgument names the place:
// no such file of this owner, no address that is read, or what http::RemoteFiles says.
Status open_sources(std::vector<chat::Message>& messages, const std::string& owner,
                    UploadStore& uploads, const http::RemoteFiles* remote);

}  // namespace gemma4::serve
