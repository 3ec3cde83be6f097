/*
 * A program of 2010 and 2011 that listens to what happens to a device, by generic netlink:
 *
 *     uiommu_events 0000:01:00.0 [ANSWER [SUSPEND]]
 *
 * It opens the device, registers for all of its events and prints them. When an error is detected
 * it answers with ANSWER, a pci_ers_result (2: the device can recover), later with 5 (recovered);
 * when the machine is to sleep, with SUSPEND (0: nothing against it). It ends when the device is
 * removed. Compile it with -I examples/early/include/REVISION.
 */
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "uiommu_client.h"

enum { RECOVERED = 5 };

static const char* const kNames[] = {"INVAL",        "REMOVE",     "ERROR_DETECTED",
                                     "MMIO_ENABLED", "LINK_RESET", "SLOT_RESET",
                                     "ERROR_RESUME", "PM_SUSPEND", "PM_RESUME"};

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc < 2) return 2;
  const uint32_t answer = argc > 2 ? (uint32_t)atoi(argv[2]) : 2;
  const uint32_t suspend = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
  const int device = OpenDevice(argv[1]);
  RegisterForEvents(argv[1]);
  printf("registered\n");
  struct Event event;
  do {
    event = ReceiveEvent();
    if (event.command > VFIO_MSG_PM_RESUME) continue;
    if (event.has_state)
      printf("%s %u\n", kNames[event.command], event.state);
    else
      printf("%s\n", kNames[event.command]);
    if (event.command == VFIO_MSG_PM_SUSPEND)
      Answer(&event, VFIO_MSG_PM_SUSPEND_REPLY, VFIO_ATTR_PM_SUSPEND_REPLY, suspend);
    if (event.command >= VFIO_MSG_ERROR_DETECTED && event.command <= VFIO_MSG_SLOT_RESET)
      Answer(&event, VFIO_MSG_ERROR_HANDLING_REPLY, VFIO_ATTR_ERROR_HANDLING_REPLY,
             event.command == VFIO_MSG_ERROR_DETECTED ? answer : RECOVERED);
  } while (event.command != VFIO_MSG_REMOVE);
  close(device);
  return 0;
}
