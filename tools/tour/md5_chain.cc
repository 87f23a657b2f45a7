#include "weir/tools/tour/md5_chain.h"

#include <stdexcept>

namespace tour {
namespace {

void check(bool ok) {
  if (!ok) throw std::runtime_error("tour: this system's libcrypto does not give MD5");
}

}  // namespace

Md5Chain::Md5Chain()
    : algorithm_(EVP_MD_fetch(nullptr, "MD5", nullptr)), running_(EVP_MD_CTX_new()), finished_(EVP_MD_CTX_new()) {
  check(algorithm_ != nullptr && running_ != nullptr && finished_ != nullptr);
  check(EVP_DigestInit_ex2(running_.get(), algorithm_.get(), nullptr) == 1);
}

void Md5Chain::add(std::string_view bytes) { check(EVP_DigestUpdate(running_.get(), bytes.data(), bytes.size()) == 1); }

Digest Md5Chain::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  check(EVP_MD_CTX_copy_ex(finished_.get(), running_.get()) == 1);
  check(EVP_DigestFinal_ex(finished_.get(), bytes.data(), nullptr) == 1);
  Digest digits;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const unsigned nibble = i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15u;
    digits[i] = "0123456789abcdef"[nibble];
  }
  return digits;
}

}  // namespace tour
