/* A device whose doorbell is rung with the low half of the time stamp counter: how long it took until
   the device heard of it, in cycles, is the first word of its memory, what it was rung with the second. */
#include <vfiolab/model.h>
#include <x86intrin.h>

static void* create(void* context, const struct vfiolab_machine_calls* calls,
                    struct vfiolab_machine* machine) {
  (void)context;
  return calls->bar_memory(machine, 2);
}

static void ring(void* device, unsigned bar, uint64_t offset, const void* from, size_t size) {
  const uint32_t now = (uint32_t)__rdtsc();
  volatile uint32_t* heard = device;
  (void)bar, (void)offset, (void)size;
  heard[0] = now - *(const uint32_t*)from;
  __atomic_store_n(&heard[1], *(const uint32_t*)from, __ATOMIC_RELEASE);
}

const struct vfiolab_model* vfiolab_plugin(void) {
  static const struct vfiolab_model model = {
      .abi = VFIOLAB_MODEL_ABI,
      .name = "bell",
      .summary = "a doorbell that says how long it took",
      .vendor_id = 0x1af4,
      .device_id = 0x10ae,
      .class_code = 0x00ff00,
      .bars = {[0] = {.size = 4096, .flags = VFIOLAB_BAR_POLLED},
               [2] = {.size = 4096, .flags = VFIOLAB_BAR_MEMORY}},
      .create = create,
      .write = ring,
  };
  return &model;
}
