// A running MD5 (RFC 1321) that can be read after each line: the digest of everything added so far.
//
//   Md5Chain chain;
//   chain.add("import asyncio\n");
//   chain.digest();                  // "dc80feba2326979f8976e387fbbc8121"
//
// One thread at a time. Cost: about as long as the bytes take, and a copy of the state for each digest; no allocation.
// Where the system's libcrypto has no MD5, the constructor throws std::runtime_error.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

namespace tour {

inline constexpr std::size_t kDigestChars = 32;

// 32 lower-case hexadecimal digits.
using Digest = std::array<char, kDigestChars>;

inline std::string_view as_text(const Digest& digest) { return {digest.data(), digest.size()}; }

class Md5Chain {
 public:
  Md5Chain();
  void add(std::string_view bytes);
  Digest digest();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    void operator()(EVP_MD* algorithm) const noexcept { EVP_MD_free(algorithm); }
  };

  std::unique_ptr<EVP_MD, Free> algorithm_;
  std::unique_ptr<EVP_MD_CTX, Free> running_;
  std::unique_ptr<EVP_MD_CTX, Free> finished_;  // where a copy of running_ is brought to its end
};

}  // namespace tour
