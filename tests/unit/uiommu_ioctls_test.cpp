// The numbers of each revision, what an unknown one is, and the calls that are not about memory or
// interrupts: domains, lengths, resets.
#include <catch2/catch.hpp>

#include "support/early_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

using Numbers = std::vector<std::pair<std::string, u32>>;

Numbers NumbersOf(std::string_view revision) {
  const auto found = std::ranges::find(uiommu::kRevisions, revision, &uiommu::Revision::name);
  Numbers numbers;
  for (const auto& [name, number] : uiommu::DeviceFile::IoctlNumbers(*found))
    numbers.emplace_back(name, number);
  return numbers;
}

const Numbers kOctober{{"VFIO_DMA_MAP_IOVA", 0xc0203b65},  {"VFIO_DMA_UNMAP", 0x40203b66},
                       {"VFIO_EVENTFD_IRQ", 0x40043b67},   {"VFIO_EVENTFDS_MSI", 0x40043b68},
                       {"VFIO_EVENTFDS_MSIX", 0x40043b69}, {"VFIO_BAR_LEN", 0xc0043ba7},
                       {"VFIO_DOMAIN_SET", 0x40043b6b},    {"VFIO_DOMAIN_UNSET", 0x3b6c}};
const Numbers kApril{{"VFIO_IRQ_EOI", 0x3b6d},
                     {"VFIO_IRQ_EOI_EVENTFD", 0x40043b6e},
                     {"VFIO_RESET_FUNCTION", 0x3b6f}};
const Numbers kJuly{{"VFIO_MAP_DMA", 0xc0203b65},
                    {"VFIO_UNMAP_DMA", 0xc0203b66},
                    {"VFIO_SET_IRQ_EVENTFD", 0x40043b67},
                    {"VFIO_SET_MSI_EVENTFDS", 0x40043b68},
                    {"VFIO_SET_MSIX_EVENTFDS", 0x40043b69},
                    {"VFIO_GET_BAR_LEN", 0xc0083b6a},
                    {"VFIO_SET_UIOMMU_DOMAIN", 0x40043b6b},
                    {"VFIO_UNMASK_IRQ", 0x3b6c},
                    {"VFIO_SET_UNMASK_IRQ_EVENTFD", 0x40043b6d},
                    {"VFIO_RESET_FUNCTION", 0x3b6e}};

}  // namespace

TEST_CASE("A5 has eight ioctls", "[uiommu]") { CHECK(NumbersOf("A5") == kOctober); }

TEST_CASE("A6 adds IRQ_EOI, IRQ_EOI_EVENTFD and RESET_FUNCTION", "[uiommu]") {
  Numbers all = kOctober;
  all.insert(all.end(), kApril.begin(), kApril.end());
  CHECK(NumbersOf("A6") == all);
}

TEST_CASE("A-jun takes BAR_LEN with its number of then and with that of before", "[uiommu]") {
  Numbers all = kOctober;
  all.insert(std::ranges::find(all, std::string("VFIO_BAR_LEN"), &Numbers::value_type::first),
             {"VFIO_BAR_LEN", 0xc0083b6a});
  all.insert(all.end(), kApril.begin(), kApril.end());
  CHECK(NumbersOf("A-jun") == all);
}

TEST_CASE("A-jul has other names and, from UNMASK_IRQ on, other numbers", "[uiommu]") {
  CHECK(NumbersOf("A-jul") == kJuly);
  CHECK(NumbersOf("A-jul-15") == kJuly);
}

TEST_CASE("an ioctl that a revision does not have is EINVAL, not ENOTTY", "[uiommu]") {
  for (const auto& [revision, replaces_vfio] : kEarlyApis) {
    if (replaces_vfio) continue;
    EarlyBench bench(revision);
    const int device = bench.OpenDevice();
    CHECK(bench.Ioctl(device, 0x3b64) == -EINVAL);
    CHECK(bench.Ioctl(device, VFIO_DEVICE_GET_INFO) == -EINVAL);
  }
  EarlyBench october("A5");
  const int device = october.OpenDevice();
  CHECK(october.Ioctl(device, kIrqEoi) == -EINVAL);
  CHECK(october.Ioctl(device, kResetFunction) == -EINVAL);
}

TEST_CASE("/dev/uiommu has no ioctls, and nothing to read", "[uiommu]") {
  EarlyBench bench;
  const int domain = bench.OpenDomain();
  CHECK(bench.Ioctl(domain, kDomainUnset) == -ENOTTY);
  std::byte byte{};
  CHECK(bench.Read(domain, 0, std::span{&byte, 1}) == -EINVAL);
}

TEST_CASE("DOMAIN_SET: unreadable is EFAULT, a second one EBUSY", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  CHECK(bench.Ioctl(device, kDomainSet, 0xdead000) == -EFAULT);
  CHECK(bench.Give(device, kDomainSet, {bench.OpenDomain()}) == -EBUSY);
  CHECK(bench.Give(device, kDomainSet, {-1}) == -EBUSY);
}

TEST_CASE("DOMAIN_SET: what is not open is EBADF, what is no uiommu EINVAL", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenDevice();
  CHECK(bench.Give(device, kDomainSet, {999}) == -EBADF);
  CHECK(bench.Give(device, kDomainSet, {device}) == -EINVAL);
  CHECK(bench.Give(device, kDomainSet, {bench.client.AddForeignFile()}) == -EINVAL);
}

TEST_CASE("DOMAIN_SET needs isolated interrupts, or allow_unsafe_intrs", "[uiommu]") {
  Iommu iommu = VtdIommu();
  iommu.interrupt_isolation = false;
  EarlyBench bench("A6", EarlyBench::EduAlone(), iommu);
  const int device = bench.OpenDevice(), domain = bench.OpenDomain();
  CHECK(bench.Give(device, kDomainSet, {domain}) == -EINVAL);
  bench.machine.parameters().allow_unsafe_intrs = 1;
  CHECK(bench.Give(device, kDomainSet, {domain}) == 0);
}

TEST_CASE("DOMAIN_UNSET of a device in no domain is 0", "[uiommu]") {
  EarlyBench bench;
  CHECK(bench.Ioctl(bench.OpenDevice(), kDomainUnset) == 0);
}

TEST_CASE("DOMAIN_UNSET is EBUSY while the device has a mapping, in A5 and A6", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain(), other = bench.OpenDevice();
  REQUIRE(bench.Map(other, 0x10000, EarlyBench::kMemory) == 0);
  CHECK(bench.Ioctl(device, kDomainUnset) == -EBUSY);
  REQUIRE(bench.Unmap(other, 0, EarlyBench::kMemory) == 0);
  CHECK(bench.Ioctl(device, kDomainUnset) == 0);
}

TEST_CASE("DOMAIN_UNSET since June drops the mappings with the last device", "[uiommu]") {
  EarlyBench bench("A-jun", EarlyBench::TwoEdus());
  const int domain = bench.OpenDomain();
  const int first = bench.OpenDevice("vfio0"), second = bench.OpenDevice("vfio1");
  REQUIRE(bench.Give(first, kDomainSet, {domain}) == 0);
  REQUIRE(bench.Give(second, kDomainSet, {domain}) == 0);
  REQUIRE(bench.Map(first, 0x10000, EarlyBench::kMemory) == 0);
  CHECK(bench.Ioctl(first, kDomainUnset) == 0);
  CHECK(bench.DmaWorks(0x10000, kSecond));
  CHECK_FALSE(bench.DmaWorks(0x10000, kFirst));
  CHECK(bench.Ioctl(second, kDomainUnset) == 0);
  CHECK(bench.client.mm().locked_pages() == 0);
  REQUIRE(bench.Give(second, kDomainSet, {domain}) == 0);
  CHECK_FALSE(bench.DmaWorks(0x10000, kSecond));
}

TEST_CASE("SET_UIOMMU_DOMAIN takes a descriptor, and -1 for none", "[uiommu]") {
  EarlyBench bench("A-jul");
  const int device = bench.OpenDevice();
  CHECK(bench.Give(device, kDomainSet, {-1}) == 0);
  CHECK(bench.Give(device, kDomainSet, {bench.OpenDomain()}) == 0);
  CHECK(bench.Give(device, kDomainSet, {-1}) == 0);
  CHECK(bench.Map(device, 0x10000, EarlyBench::kMemory) == -EINVAL);
}

TEST_CASE("since June a domain is its first process's alone", "[uiommu]") {
  EarlyBench bench("A-jun", EarlyBench::TwoEdus());
  const int domain = bench.OpenDomain();
  const int first = bench.OpenDevice("vfio0"), second = bench.OpenDevice("vfio1");
  REQUIRE(bench.Give(first, kDomainSet, {domain}) == 0);
  bench.client.Exec();
  bench.client.mm().Map(Bench::kArguments, kPageSize);
  CHECK(bench.Give(second, kDomainSet, {domain}) == -EINVAL);
  REQUIRE(bench.Ioctl(first, kDomainUnset) == 0);
  CHECK(bench.Give(second, kDomainSet, {domain}) == 0);
}

TEST_CASE("a domain lives on without its descriptor while a device is in it", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenDevice(), domain = bench.OpenDomain();
  REQUIRE(bench.Give(device, kDomainSet, {domain}) == 0);
  bench.Close(domain);
  CHECK(bench.Map(device, 0x10000, EarlyBench::kMemory) == 0);
  CHECK(bench.DmaWorks(0x10000));
}

TEST_CASE("BAR_LEN has 32 bits in A5 and A6", "[uiommu]") {
  EarlyBench bench("A5", EarlyBench::Only(kPlenty));
  const int device = bench.OpenDevice();
  const auto length = [&](u32 bar) {
    bench.client.mm().Put(Bench::kArguments, std::array<u32, 2>{bar, 0xaaaaaaaa});
    const long result = bench.Ioctl(device, kBarLen32, Bench::kArguments);
    CHECK(bench.client.mm().Get<u32>(Bench::kArguments + 4) == 0xaaaaaaaa);
    return result == 0 ? static_cast<long>(bench.client.mm().Get<u32>(Bench::kArguments)) : result;
  };
  CHECK(length(0) == 64_KiB);
  CHECK(length(1) == 0);  // the upper half
  CHECK(length(2) == 32);
  CHECK(length(4) == 0);
  CHECK(length(6) == 0);
  CHECK(length(7) == -EINVAL);
  CHECK(bench.Ioctl(device, kBarLen32, 0xdead000) == -EFAULT);
}

TEST_CASE("BAR_LEN has 64 bits from June on", "[uiommu]") {
  for (const std::string_view revision : {"A-jun", "A-jul"}) {
    EarlyBench bench(revision, EarlyBench::Only(kPlenty));
    const int device = bench.OpenDevice();
    bench.client.mm().Put(Bench::kArguments, u64{0});
    CHECK(bench.Ioctl(device, kBarLen64, Bench::kArguments) == 0);
    CHECK(bench.client.mm().Get<u64>(Bench::kArguments) == 64_KiB);
    bench.client.mm().Put(Bench::kArguments, u64{1} << 32);
    CHECK(bench.Ioctl(device, kBarLen64, Bench::kArguments) == -EINVAL);
  }
}

TEST_CASE("RESET_FUNCTION is ENOTTY of a function that cannot be reset", "[uiommu]") {
  EarlyBench bench("A6", {{kOnRootBus, &fake_devices::kEdu, 1, "vfio"}});
  CHECK(bench.Ioctl(bench.OpenDevice(), kResetFunction) == -ENOTTY);
  EarlyBench other;
  const int device = other.OpenInDomain();
  other.Store<u32>(device, other.At(0, 4), 5);
  CHECK(other.Ioctl(device, kResetFunction) == 0);
  CHECK(other.Load<u32>(device, other.At(0, 4)) == 0);
}

TEST_CASE("RESET_FUNCTION of a device that is being removed is EBUSY since June", "[uiommu]") {
  for (const auto& [revision, number, result] :
       {std::tuple{"A6", kResetFunction, 0L}, std::tuple{"A-jun", kResetFunction, long{-EBUSY}},
        std::tuple{"A-jul", kResetJuly, long{-EBUSY}}}) {
    EarlyBench bench(revision);
    const int device = bench.OpenDevice();
    bool done = false;
    REQUIRE(bench.machine.pci_bus().Unbind("vfio", kFirst.ToString(), [&] { done = true; }));
    CHECK(bench.Ioctl(device, number) == result);
    CHECK_FALSE(done);
    bench.Close(device);
    CHECK(done);
  }
}
