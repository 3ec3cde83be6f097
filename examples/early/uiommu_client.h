/*
 * What programs of 2010 and 2011 did before and beside the ioctls of VFIO: finding the node of a
 * device, and hearing by generic netlink of what happens to it.
 */
#ifndef UIOMMU_CLIENT_H
#define UIOMMU_CLIENT_H

#include <stdint.h>

/* Ends the program, with errno, unless the condition holds. */
void Check(int holds, const char* what);

/* A device is opened by its PCI address, such as 0000:01:00.0; returns the descriptor. */
int OpenDevice(const char* address);

/* From now on the events of that device can be received, and are to be answered. */
void RegisterForEvents(const char* address);

struct Event {
  uint16_t command; /* VFIO_MSG_... */
  uint32_t sequence;
  int has_state;
  uint32_t state; /* of the device's channel, where an error was detected */
};
/* Waits for the next one. */
struct Event ReceiveEvent(void);

/* An answer is a message with one number. */
void Answer(const struct Event* event, uint8_t command, uint16_t attribute, uint32_t value);

#endif
