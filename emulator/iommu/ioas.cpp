#include "iommu/ioas.hpp"

#include <algorithm>

namespace vfiolab {
namespace {

// A fault in a part of an access is a fault of the access.
Failure<Fault> Whole(Fault fault, u64 length) {
  fault.length = length;
  return {fault};
}

}  // namespace

void Ioas::Insert(Mapping mapping) {
  if (mapping.pages == nullptr) mapping.pages = mapping.space->Pin(mapping.address, mapping.size());
  mappings_.emplace(mapping.iova.first, std::move(mapping));
}

Ioas::Mappings::iterator Ioas::FirstOverlap(IovaRange range) {
  auto it = mappings_.upper_bound(range.first);
  if (it != mappings_.begin() && std::prev(it)->second.iova.last >= range.first)
    return std::prev(it);
  return it != mappings_.end() && it->first <= range.last ? it : mappings_.end();
}

Result<Ioas::Piece, Fault> Ioas::Translate(Iova at, u64 length, Access access) {
  const auto it = FirstOverlap({Raw(at), Raw(at)});
  if (it == mappings_.end()) return Failure{Fault{FaultReason::kNotMapped, access, at, length}};
  const Mapping& mapping = it->second;
  if (!mapping.permissions.Allow(access)) {
    const auto reason =
        access == Access::kRead ? FaultReason::kReadDenied : FaultReason::kWriteDenied;
    return Failure{Fault{reason, access, at, length}};
  }
  const u64 offset = Raw(at) - mapping.iova.first;
  const u64 left = mapping.iova.last - Raw(at);  // one less than the bytes left: cannot wrap
  std::shared_ptr<Pages> pages = mapping.pages;
  if (pages == nullptr) pages = mapping.space;
  return Piece{std::move(pages), mapping.address + offset, std::min(length - 1, left) + 1};
}

Result<Success, Fault> Ioas::Read(Iova from, std::span<std::byte> to) {
  const u64 length = to.size();
  while (!to.empty()) {
    const auto piece = Translate(from, to.size(), Access::kRead);
    if (!piece) return Whole(piece.error(), length);
    if (!piece->pages->Read(piece->address, to.first(piece->length)))
      return Failure{Fault{FaultReason::kMemoryGone, Access::kRead, from, length}};
    to = to.subspan(piece->length);
    from = from + piece->length;
  }
  return {};
}

Result<Success, Fault> Ioas::Write(Iova to, std::span<const std::byte> from) {
  // An aligned record of two words publishes the second last: it may say that the first is there.
  if ((from.size() == 8 || from.size() == 16) && Raw(to) % from.size() == 0) {
    const std::size_t half = from.size() / 2;
    auto moved = WritePieces(to, from.first(half));
    if (moved) moved = WritePieces(to + half, from.subspan(half));
    if (!moved) return Whole(moved.error(), from.size());
    return {};
  }
  const auto moved = WritePieces(to, from);
  if (!moved) return Whole(moved.error(), from.size());
  return {};
}

Result<Success, Fault> Ioas::WritePieces(Iova to, std::span<const std::byte> from) {
  while (!from.empty()) {
    const Piece piece = TRY(Translate(to, from.size(), Access::kWrite));
    if (!piece.pages->Write(piece.address, from.first(piece.length)))
      return Failure{Fault{FaultReason::kMemoryGone, Access::kWrite, to, from.size()}};
    from = from.subspan(piece.length);
    to = to + piece.length;
  }
  return {};
}

}  // namespace vfiolab
