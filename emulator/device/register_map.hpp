// Declarative register maps: a device states what its registers are, the bank decides how bytes
// reach them.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "device/bar.hpp"

namespace vfiolab {

inline constexpr u64 kAllBits = ~u64{0};

// How a register of device D behaves. All defaults: 4 bytes that read as zero and ignore writes.
//
// A write is dropped when `writable_if` says no; else `writable` bits are stored,
// `write_one_to_clear` bits cleared, then `on_write` runs with what was written. A row with
// `writable` 0 and an `on_write` owns its store. `on_read` computes instead of loading.
// An access that begins inside a `whole` register misses it, and a shorter write clears the rest.
template <class D>
struct Behaviour {
  unsigned width = 4;  // bytes: 1, 2, 4 or 8
  bool whole = false;
  u64 reset = 0;
  u64 writable = 0;
  u64 write_one_to_clear = 0;
  bool (D::*writable_if)() const = nullptr;
  void (D::*on_write)(u64 written) = nullptr;
  u64 (D::*on_read)() = nullptr;
};

// One row of a register map.
template <class D>
struct Register {
  const char* name;
  Offset offset;
  Behaviour<D> behaviour;
};

// Checks a map while it compiles: widths, natural alignment, order and overlap.
template <class D, std::size_t N>
consteval std::array<Register<D>, N> Registers(const Register<D> (&rows)[N]) {
  std::array<Register<D>, N> map{};
  Offset free_from = 0;
  for (std::size_t i = 0; i < N; ++i) {
    const Register<D>& row = rows[i];
    if (!std::has_single_bit(row.behaviour.width) || row.behaviour.width > 8)
      throw "register width must be 1, 2, 4 or 8";
    if (row.offset % row.behaviour.width != 0) throw "register is not naturally aligned";
    if (row.offset < free_from) throw "registers overlap or are out of order";
    free_from = row.offset + row.behaviour.width;
    map[i] = row;
  }
  return map;
}

// A BAR made of registers. Bytes that no row claims read as ones and ignore writes, as an
// unclaimed bus read does. A row is read or written as often as an access touches it: once.
template <class D>
class RegisterBank final : public BarHandler {
 public:
  template <std::size_t N>
  RegisterBank(D& device, const std::array<Register<D>, N>& map)
      : device_(device), map_(map.begin(), map.end()), values_(N) {
    Reset();
  }

  // The stored value of the row at `offset`, which must be the start of a row.
  u64& operator[](Offset offset) { return values_[IndexOf(offset)]; }
  const u64& operator[](Offset offset) const { return values_[IndexOf(offset)]; }

  void Read(Offset offset, std::span<std::byte> out) override {
    std::ranges::fill(out, std::byte{0xff});
    ForEachRow(offset, out.size(), [&](std::size_t i, const Overlap& part) {
      const u64 value = Load(i) >> (8 * part.in_register);
      std::memcpy(out.data() + part.in_access, &value, part.count);
    });
  }

  void Write(Offset offset, std::span<const std::byte> in) override {
    ForEachRow(offset, in.size(), [&](std::size_t i, const Overlap& part) {
      u64 value = map_[i].behaviour.whole ? 0 : values_[i];
      std::memcpy(reinterpret_cast<std::byte*>(&value) + part.in_register,
                  in.data() + part.in_access, part.count);
      const std::size_t touched = map_[i].behaviour.whole ? 8 : part.count;
      Store(i, value, kAllBits >> (64 - 8 * touched) << (8 * part.in_register));
    });
  }

  void Reset() override {
    for (std::size_t i = 0; i < map_.size(); ++i) values_[i] = map_[i].behaviour.reset;
  }

 private:
  struct Overlap {
    std::size_t in_register;
    std::size_t in_access;
    std::size_t count;
  };

  std::size_t IndexOf(Offset offset) const {
    const auto it = std::ranges::lower_bound(map_, offset, {}, &Register<D>::offset);
    CHECK_OURS(it != map_.end() && it->offset == offset);
    return static_cast<std::size_t>(it - map_.begin());
  }

  u64 Load(std::size_t i) const {
    const Behaviour<D>& row = map_[i].behaviour;
    return row.on_read ? (device_.*row.on_read)() : values_[i];
  }

  // `touched` are the bits that the access covers; the others of `written` are the stored ones.
  void Store(std::size_t i, u64 written, u64 touched) {
    const Behaviour<D>& row = map_[i].behaviour;
    if (row.writable_if && !(device_.*row.writable_if)()) return;
    u64& value = values_[i];
    value = (value & ~row.writable) | (written & row.writable);
    value &= ~(written & touched & row.write_one_to_clear);
    if (row.on_write) (device_.*row.on_write)(written);
  }

  template <class F>
  void ForEachRow(Offset offset, std::size_t size, F&& visit) {
    // Rows are at most 8 bytes wide, so the first that can matter starts no earlier than that.
    const Offset from = offset < 7 ? 0 : offset - 7;
    auto it = std::ranges::lower_bound(map_, from, {}, &Register<D>::offset);
    for (; it != map_.end() && it->offset < offset + size; ++it) {
      const Offset begin = std::max(offset, it->offset);
      const Offset end = std::min(offset + size, it->offset + it->behaviour.width);
      if (begin >= end || (it->behaviour.whole && begin != it->offset)) continue;
      visit(static_cast<std::size_t>(it - map_.begin()),
            Overlap{begin - it->offset, begin - offset, end - begin});
    }
  }

  D& device_;
  std::vector<Register<D>> map_;
  std::vector<u64> values_;
};

// The part of `buffer` that a driver asked for, or nothing if it lies outside.
template <std::size_t N>
std::optional<std::span<std::byte>> Subspan(std::array<std::byte, N>& buffer, u64 start,
                                            u64 count) {
  if (start > N || count > N - start) return std::nullopt;
  return std::span{buffer}.subspan(start, count);
}

}  // namespace vfiolab
