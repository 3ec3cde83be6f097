// An I/O address space: which IOVA ranges lead to which memory of which client.
#pragma once
#include <map>
#include <memory>

#include "client/client_memory.hpp"
#include "iommu/fault.hpp"

namespace vfiolab {

struct Mapping {
  IovaRange iova;
  ClientAddress address;  // of the first byte
  Permissions permissions;
  std::shared_ptr<AddressSpace> space;
  u64 locked_pages = 0;                    // what the owner of `space` was charged
  bool address_valid = true;               // false between UNMAP and MAP with the VADDR flag
  std::shared_ptr<Pages> pages = nullptr;  // where they are; null: in `space`

  u64 size() const { return iova.last - iova.first + 1; }  // 0 means 2^64
};

class Ioas {
 public:
  using Mappings = std::map<u64, Mapping>;  // by first IOVA; never overlapping

  const Mappings& mappings() const { return mappings_; }
  Mappings& mappings() { return mappings_; }

  // The first mapping that shares a byte with `range`; end() when none does.
  Mappings::iterator FirstOverlap(IovaRange range);

  // `mapping` must not overlap another; its pages are pinned, unless they are. Strong: nothing
  // changes when memory is short.
  void Insert(Mapping mapping);
  Mappings::iterator Erase(Mappings::iterator it) { return mappings_.erase(it); }

  // Moves bytes between the device and client memory, piece by piece in rising order; stops at the
  // first byte that may not be moved.
  Result<Success, Fault> Read(Iova from, std::span<std::byte> to);
  Result<Success, Fault> Write(Iova to, std::span<const std::byte> from);

 private:
  // Holds the memory by itself: an access may take long, and the mapping may go meanwhile.
  struct Piece {
    std::shared_ptr<Pages> pages;
    ClientAddress address;
    u64 length;
  };
  Result<Piece, Fault> Translate(Iova at, u64 length, Access access);
  Result<Success, Fault> WritePieces(Iova to, std::span<const std::byte> from);

  Mappings mappings_;
};

}  // namespace vfiolab
