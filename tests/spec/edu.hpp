// QEMU's edu device as the tests use it: registers in BAR0, a DMA engine with 4 KiB of its own
// memory, one interrupt.
#pragma once

#include <sys/random.h>

#include "client.hpp"

constexpr uint32_t kEduId = 0x00, kEduLiveness = 0x04, kEduStatus = 0x20, kEduIrqStatus = 0x24,
                   kEduIrqRaise = 0x60, kEduIrqAck = 0x64, kEduDmaSource = 0x80,
                   kEduDmaTarget = 0x88, kEduDmaCount = 0x90, kEduDmaCommand = 0x98;
constexpr uint64_t kEduBuffer = 0x40000;
constexpr uint32_t kDmaStart = 1, kDmaToMemory = 2;

inline Result TryReadRegister(int device, uint32_t at, uint32_t& value) {
  return Read(device, &value, sizeof value, RegionOffset(device, VFIO_PCI_BAR0_REGION_INDEX) + at);
}
inline Result TryWriteRegister(int device, uint32_t at, uint32_t value) {
  return Write(device, &value, sizeof value, RegionOffset(device, VFIO_PCI_BAR0_REGION_INDEX) + at);
}
inline uint32_t ReadRegister(int device, uint32_t at) {
  uint32_t value = 0;
  REQUIRE(TryReadRegister(device, at, value) == sizeof value);
  return value;
}
inline void WriteRegister(int device, uint32_t at, uint32_t value) {
  REQUIRE(TryWriteRegister(device, at, value) == sizeof value);
}

// The device cannot always be reset between tests, so its interrupt is taken back by hand.
inline Client OpenEdu() {
  Client client = OpenClient(Edu());
  WriteRegister(client.device, kEduStatus, 0);
  WriteRegister(client.device, kEduIrqAck, 0xffffffff);
  return client;
}

// Runs one transfer and waits until the device says that it has ended.
inline void RunDma(int device, uint64_t source, uint64_t target, uint32_t count, uint32_t command) {
  WriteRegister(device, kEduDmaSource, static_cast<uint32_t>(source));
  WriteRegister(device, kEduDmaTarget, static_cast<uint32_t>(target));
  WriteRegister(device, kEduDmaCount, count);
  WriteRegister(device, kEduDmaCommand, command | kDmaStart);
  for (int i = 0; i < 1000 && (ReadRegister(device, kEduDmaCommand) & kDmaStart); i++)
    ::usleep(10'000);
  REQUIRE((ReadRegister(device, kEduDmaCommand) & kDmaStart) == 0);
}
inline void DmaFromMemory(int device, uint64_t iova, uint32_t count) {
  RunDma(device, iova, kEduBuffer, count, 0);
}
inline void DmaToMemory(int device, uint64_t iova, uint32_t count) {
  RunDma(device, kEduBuffer, iova, count, kDmaToMemory);
}

inline std::vector<uint8_t> RandomBytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  REQUIRE(::getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count));
  return bytes;
}
