#include "serve/random_id.h"

#include <random>

namespace gemma4::serve {
namespace {

std::mt19937_64& generator() {
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seeds{device(), device(), device(), device()};
    return std::mt19937_64(seeds);
  }();
  return random;
}

}  // namespace

std::string random_id(size_t length) {
  static constexpr char kLetters[] =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::uniform_int_distribution<size_t> letter(0, sizeof kLetters - 2);
  std::string id(length, '0');
  for (char& c : id) c = kLetters[letter(generator())];
  return id;
}

uint64_t random_seed() { return generator()(); }

}  // namespace gemma4::serve
