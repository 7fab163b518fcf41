#include "serve/prefix_files.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/content_hash.h"
#include "base/strings.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "serve/log.h"

namespace gemma4::serve {
namespace {

namespace fs = std::filesystem;

// Of a file: this, the length of the identity and the identity, the number of tokens and the
// tokens, the first sliding block, the length of the rows and the rows, the checksum of all before.
// Numbers are 8 bytes (tokens 4) in the order of the machine.
constexpr std::string_view kMagic = "gemma4 prefix 1\n";
constexpr std::string_view kSuffix = ".prefix";
constexpr size_t kProbeBytes = 64 << 10;
constexpr std::chrono::hours kAbandoned(1);

std::string hex(uint64_t value) {
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
  return text;
}

template <typename T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

uint64_t checksum(std::string_view text) { return content_hash(std::as_bytes(std::span(text))); }

// Takes bytes from the front; nothing once there are too few.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> take(uint64_t count) {
    if (count > rest_.size()) return std::nullopt;
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::optional<uint64_t> number() {
    const auto bytes = take(sizeof(uint64_t));
    if (!bytes) return std::nullopt;
    uint64_t value = 0;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::string bytes_of(const engine::SavedPrefix& prefix, const std::string& identity) {
  std::string text(kMagic);
  append(text, static_cast<uint64_t>(identity.size()));
  text += identity;
  append(text, static_cast<uint64_t>(prefix.tokens.size()));
  for (const int32_t token : prefix.tokens) append(text, token);
  append(text, static_cast<uint64_t>(prefix.sliding_first));
  append(text, static_cast<uint64_t>(prefix.rows.size()));
  text.append(reinterpret_cast<const char*>(prefix.rows.data()), prefix.rows.size());
  append(text, checksum(text));
  return text;
}

std::optional<engine::SavedPrefix> parse(std::string_view text, const std::string& identity) {
  constexpr size_t kSum = sizeof(uint64_t);
  if (text.size() < kSum) return std::nullopt;
  const std::string_view body = text.substr(0, text.size() - kSum);
  if (Reader(text.substr(body.size())).number() != checksum(body)) return std::nullopt;
  Reader reader(body);
  if (reader.take(kMagic.size()) != kMagic) return std::nullopt;
  const auto identity_size = reader.number();
  if (!identity_size || reader.take(*identity_size) != std::string_view(identity))
    return std::nullopt;
  const auto count = reader.number();
  if (!count || *count > body.size() / sizeof(int32_t)) return std::nullopt;
  const auto tokens = reader.take(*count * sizeof(int32_t));
  const auto sliding_first = reader.number();
  const auto size = reader.number();
  if (!tokens || !sliding_first || *sliding_first > *count || !size) return std::nullopt;
  const auto rows = reader.take(*size);
  if (!rows || !reader.done()) return std::nullopt;
  engine::SavedPrefix prefix{.sliding_first = static_cast<int32_t>(*sliding_first)};
  prefix.tokens.resize(*count);
  std::memcpy(prefix.tokens.data(), tokens->data(), tokens->size());
  const auto bytes = std::as_bytes(std::span(*rows));
  prefix.rows.assign(bytes.begin(), bytes.end());
  return prefix;
}

struct File {
  fs::path path;
  fs::file_time_type time;
  int64_t bytes = 0;
};

// Oldest first. Files that others remove meanwhile are left out.
std::vector<File> files_in(const std::string& folder) {
  std::vector<File> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const File file{it->path(), it->last_write_time(gone),
                    static_cast<int64_t>(it->file_size(gone))};
    if (!gone && it->path().filename().string().find(kSuffix) != std::string::npos)
      files.push_back(file);
  }
  std::ranges::sort(files, {}, &File::time);
  return files;
}

void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

void note(const std::string& message) {
  log_line(LogLevel::kError, {{"event", "cache_dir"}, {"message", message}});
}

}  // namespace

PrefixFiles::PrefixFiles(const Options& options)
    : options_(options), stem_(hex(checksum(options.identity)) + "-") {}

Result<std::shared_ptr<PrefixFiles>> PrefixFiles::open(const Options& options) {
  G4_RETURN_IF_ERROR(io::make_folder(options.folder));
  // Shown now, and not by a log that nobody reads.
  G4_ASSIGN_OR_RETURN(auto probe, io::AtomicFile::create(options.folder + "/probe"));
  G4_RETURN_IF_ERROR(probe.write("x"));
  std::shared_ptr<PrefixFiles> self(new PrefixFiles(options));
  const auto now = fs::file_time_type::clock::now();
  for (const File& file : files_in(options.folder)) {
    const std::string name = file.path.filename().string();
    if (!name.ends_with(kSuffix)) {  // a writer that was killed left it
      if (now - file.time > kAbandoned) remove_file(file.path);
    } else if (name.starts_with(self->stem_)) {
      self->to_read_.push_back(file.path);
    }
  }
  return self;
}

std::string PrefixFiles::path_of(const engine::SavedPrefix& prefix) const {
  return str_cat(options_.folder, "/", stem_,
                 hex(content_hash(std::as_bytes(std::span(prefix.tokens)),
                                  static_cast<uint64_t>(prefix.sliding_first))),
                 kSuffix);
}

void PrefixFiles::make_room(int64_t bytes) const {
  const std::vector<File> files = files_in(options_.folder);
  int64_t total = bytes;
  for (const File& file : files) total += file.bytes;
  for (const File& file : files) {
    if (total <= options_.max_bytes) return;
    remove_file(file.path);
    total -= file.bytes;
  }
}

void PrefixFiles::save(const engine::SavedPrefix& prefix) {
  const std::string bytes = bytes_of(prefix, options_.identity);
  if (static_cast<int64_t>(bytes.size()) > options_.max_bytes) return;
  make_room(static_cast<int64_t>(bytes.size()));
  const Status status = [&]() -> Status {
    G4_ASSIGN_OR_RETURN(auto file, io::AtomicFile::create(path_of(prefix)));
    G4_RETURN_IF_ERROR(file.write(bytes));
    return file.commit();
  }();
  if (!status.ok()) note(status.error().message);
}

std::optional<engine::SavedPrefix> PrefixFiles::next() {
  while (!to_read_.empty()) {
    const fs::path path = std::move(to_read_.back());
    to_read_.pop_back();
    const auto text = io::read_file(path.string(), static_cast<size_t>(options_.max_bytes));
    if (!text.ok()) continue;  // removed meanwhile
    if (auto prefix = parse(text.value(), options_.identity)) return prefix;
    note(str_cat(path.string(), " is damaged or of another model, and was removed"));
    remove_file(path);
  }
  return std::nullopt;
}

Result<std::string> identity_of_files(const std::string& path) {
  std::vector<fs::path> files;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
      if (it->is_regular_file()) files.push_back(it->path());
  } else {
    files.emplace_back(path);
  }
  std::ranges::sort(files);
  std::string identity;
  for (const fs::path& file : files) {
    const auto size = fs::file_size(file, error);
    if (error) break;
    const auto time = fs::last_write_time(file, error);
    if (error) break;
    std::ifstream in(file, std::ios::binary);
    std::string ends(kProbeBytes, '\0');
    in.read(ends.data(), kProbeBytes / 2);
    if (size > kProbeBytes) in.seekg(-static_cast<std::streamoff>(kProbeBytes / 2), std::ios::end);
    in.read(ends.data() + kProbeBytes / 2, kProbeBytes / 2);
    identity += str_cat(file.filename().string(), " ", size, " ",
                        static_cast<int64_t>(time.time_since_epoch().count()), " ",
                        hex(checksum(ends)), "\n");
  }
  if (error)
    return Error{ErrorCode::kIo, str_cat("cannot read the files of ", path, ": ", error.message())};
  return identity;
}

}  // namespace gemma4::serve
