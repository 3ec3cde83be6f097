// Words, bytes and sizes.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace vfiolab {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

static_assert(std::endian::native == std::endian::little, "PCI and the client are little-endian");

consteval u64 operator""_KiB(unsigned long long n) { return n << 10; }
consteval u64 operator""_MiB(unsigned long long n) { return n << 20; }
consteval u64 operator""_GiB(unsigned long long n) { return n << 30; }

inline constexpr u64 kPageSize = 4_KiB;

// The little-endian number at the front of `bytes`; at most eight bytes count.
inline u64 LoadLittleEndian(std::span<const std::byte> bytes) {
  u64 value = 0;
  std::memcpy(&value, bytes.data(), bytes.size() < 8 ? bytes.size() : 8);
  return value;
}

inline void StoreLittleEndian(std::span<std::byte> bytes, u64 value) {
  std::memcpy(bytes.data(), &value, bytes.size() < 8 ? bytes.size() : 8);
}

template <class T>
std::span<std::byte> BytesOf(T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_writable_bytes(std::span{&value, 1});
}
template <class T>
std::span<const std::byte> BytesOf(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_bytes(std::span{&value, 1});
}

}  // namespace vfiolab
