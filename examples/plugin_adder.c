/*
 * A device model as a plug-in: an adder with an interrupt. Register 0 and 4 are summands; a write
 * to 8 adds them a microsecond later, to be read at 12, and raises INTA until 16 is written.
 *
 *     gcc -shared -fPIC -o adder.so plugin_adder.c
 *
 * and in the topology: {"bdf": "0000:01:00.0", "model": "./adder.so"}.
 */
#include <stdlib.h>
#include <string.h>
#include <vfiolab/model.h>

struct adder {
  const struct vfiolab_machine_calls* calls;
  struct vfiolab_machine* machine;
  uint32_t summands[2], sum;
};

static void* create(void* context, const struct vfiolab_machine_calls* calls,
                    struct vfiolab_machine* machine) {
  (void)context;
  struct adder* adder = calloc(1, sizeof *adder);
  adder->calls = calls;
  adder->machine = machine;
  return adder;
}

static void reset(void* device) {
  struct adder* adder = device;
  memset(adder->summands, 0, sizeof adder->summands);
  adder->sum = 0;
  adder->calls->set_intx(adder->machine, 0);
}

static void add(void* device) {
  struct adder* adder = device;
  adder->sum = adder->summands[0] + adder->summands[1];
  adder->calls->set_intx(adder->machine, 1);
}

static void read_register(void* device, unsigned bar, uint64_t offset, void* to, size_t size) {
  const struct adder* adder = device;
  (void)bar;
  const uint32_t value = offset < 8 ? adder->summands[offset / 4] : offset == 12 ? adder->sum : 0;
  memset(to, 0, size);
  if (size == 4) memcpy(to, &value, 4);
}

static void write_register(void* device, unsigned bar, uint64_t offset, const void* from,
                           size_t size) {
  struct adder* adder = device;
  (void)bar;
  if (size != 4)
    adder->calls->guest_error(adder->machine, "registers have 4 bytes");
  else if (offset < 8)
    memcpy(&adder->summands[offset / 4], from, 4);
  else if (offset == 8)
    adder->calls->after(adder->machine, 1000, add, adder);
  else if (offset == 16)
    adder->calls->set_intx(adder->machine, 0);
}

const struct vfiolab_model* vfiolab_plugin(void) {
  static const struct vfiolab_model model = {
      .abi = VFIOLAB_MODEL_ABI,
      .name = "adder",
      .summary = "an adder with an interrupt",
      .vendor_id = 0x1af4,
      .device_id = 0x10ad,
      .class_code = 0x00ff00,
      .interrupt_pin = 1,
      .bars = {{.size = 32}},
      .create = create,
      .destroy = free,
      .reset = reset,
      .read = read_register,
      .write = write_register,
  };
  return &model;
}
