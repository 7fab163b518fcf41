// Byte-pair encoding of text that holds no added tokens.
//
// `encode_reference` is the definition. `BpeEncoder` gives the same ids much faster: it cuts the
// text where no merge can reach across (MergeTable::may_join), merges each chunk by itself, and
// looks up chunks that it has met before in the same text.
#pragma once

#include <string_view>
#include <vector>

#include "text/merges.h"
#include "text/vocabulary.h"

namespace gemma4::text {

// Appends the ids of `text`, well-formed UTF-8, to `ids`. Quadratic in the length: for tests.
void encode_reference(const Vocabulary& vocabulary, const MergeTable& merges, std::string_view text,
                      std::vector<TokenId>& ids);

// Encodes the parts of one text, one after another. Holds scratch memory and the chunks met so far;
// make one per text, it is cheap. Not thread-safe.
class BpeEncoder {
 public:
  // All three must outlive this object. `text` is well-formed UTF-8; the output goes to `ids`,
  // whose elements must not be changed by others, only appended to.
  BpeEncoder(const Vocabulary& vocabulary, const MergeTable& merges, std::string_view text,
             std::vector<TokenId>& ids);

  // Encodes text[begin, end) on its own and appends its ids. O(n log n) whatever the text.
  void encode(size_t begin, size_t end);

 private:
  // Where in the text a chunk stood and where its ids are in the output: met again, they are
  // copied.
  struct CachedChunk {
    size_t begin = 0;
    size_t first_id = 0;
    uint32_t num_bytes = 0;  // 0: nothing cached here
    uint32_t num_ids = 0;
  };
  struct Candidate {
    uint32_t rank;
    TokenId left_id, right_id, merged_id;
    size_t left;
  };

  void encode_chunk(size_t begin, size_t end, bool one_code_point);
  void append_symbols(std::string_view chunk);
  void merge_by_scan();
  void merge_by_heap();
  void push_candidate(size_t left);

  const Vocabulary& vocabulary_;
  const MergeTable& merges_;
  const std::string_view text_;
  std::vector<TokenId>& ids_;
  std::vector<CachedChunk> cache_;  // direct-mapped by the hash of the chunk; a power of two
  std::vector<TokenId> symbols_;    // of the chunk at hand
  // Of the heap: neighbours of each symbol, merged symbols being unlinked, and candidate merges.
  std::vector<size_t> previous_, next_;
  std::vector<Candidate> heap_;
};

}  // namespace gemma4::text
