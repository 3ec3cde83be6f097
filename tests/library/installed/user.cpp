#include <cstdio>
#include <vfiolab/emulator.hpp>

int main() {
  vfiolab::Emulator kernel({{{"0000:01:00.0", "edu"}}, {{1, {"0000:01:00.0"}}}});
  std::printf("%s", kernel.ReadFile("/sys/bus/pci/devices/0000:01:00.0/vendor")->c_str());
}
