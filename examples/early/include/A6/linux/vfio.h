/*
 * VFIO as it was in April 2011. Written anew for vfiolab; the names and numbers are those
 * of that time.
 */
#ifndef VFIOLAB_EARLY_VFIO_H
#define VFIOLAB_EARLY_VFIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What a mapping connects: memory of the process with addresses of the bus. */
struct vfio_dma_map {
  __u64 vaddr;
  __u64 dmaaddr;
  __u64 size; /* bytes */
  __u64 flags;
#define VFIO_FLAG_WRITE 0x1 /* the device may write, too */
};
#define VFIO_MAX_MAP_SIZE (1 << 30)

/* Of /dev/vfioN. Arguments are pointers. */
#define VFIO_DMA_MAP_IOVA _IOWR(';', 101, struct vfio_dma_map)
#define VFIO_DMA_UNMAP _IOW(';', 102, struct vfio_dma_map)
#define VFIO_EVENTFD_IRQ _IOW(';', 103, int)   /* an eventfd, or -1 */
#define VFIO_EVENTFDS_MSI _IOW(';', 104, int)  /* int[1 + n]: n, then eventfds */
#define VFIO_EVENTFDS_MSIX _IOW(';', 105, int) /* likewise */
#define VFIO_BAR_LEN _IOWR(';', 167, __u32)    /* in: BAR; out: bytes */
#define VFIO_DOMAIN_SET _IOW(';', 107, int)    /* a descriptor of /dev/uiommu */
#define VFIO_DOMAIN_UNSET _IO(';', 108)
#define VFIO_IRQ_EOI _IO(';', 109)
#define VFIO_IRQ_EOI_EVENTFD _IOW(';', 110, int) /* an eventfd, or -1 */
#define VFIO_RESET_FUNCTION _IO(';', 111)

/* A device's file: region R, byte AT lies at R << VFIO_PCI_SPACE_SHIFT | AT. */
#define VFIO_PCI_BAR0_RESOURCE 0
#define VFIO_PCI_BAR1_RESOURCE 1
#define VFIO_PCI_BAR2_RESOURCE 2
#define VFIO_PCI_BAR3_RESOURCE 3
#define VFIO_PCI_BAR4_RESOURCE 4
#define VFIO_PCI_BAR5_RESOURCE 5
#define VFIO_PCI_ROM_RESOURCE 6
#define VFIO_PCI_CONFIG_RESOURCE 0xF
#define VFIO_PCI_SPACE_SHIFT 32
#define VFIO_PCI_CONFIG_OFF ((__u64)VFIO_PCI_CONFIG_RESOURCE << VFIO_PCI_SPACE_SHIFT)

static inline __u64 vfio_pci_space_to_offset(int region) {
  return (__u64)region << VFIO_PCI_SPACE_SHIFT;
}

/*
 * Events, by generic netlink: a client registers for those of a device, and answers some. The
 * kernel sends each to all who have registered.
 */
#define VFIO_GENL_NAME "VFIO"
enum {
  VFIO_MSG_INVAL = 0,
  /* to clients */
  VFIO_MSG_REMOVE, /* the device is to be closed */
  VFIO_MSG_ERROR_DETECTED,
  VFIO_MSG_MMIO_ENABLED,
  VFIO_MSG_LINK_RESET,
  VFIO_MSG_SLOT_RESET,
  VFIO_MSG_ERROR_RESUME,
  VFIO_MSG_PM_SUSPEND,
  VFIO_MSG_PM_RESUME,
  /* from clients */
  VFIO_MSG_REGISTER,
  VFIO_MSG_ERROR_HANDLING_REPLY, /* with the number of the message that it answers */
  VFIO_MSG_PM_SUSPEND_REPLY,
};
enum {
  VFIO_ATTR_UNSPEC,
  VFIO_ATTR_MSGCAP,               /* u64; bit n: for message n */
  VFIO_ATTR_PCI_DOMAIN,           /* u32 */
  VFIO_ATTR_PCI_BUS,              /* u16 */
  VFIO_ATTR_PCI_SLOT,             /* u8 */
  VFIO_ATTR_PCI_FUNC,             /* u8 */
  VFIO_ATTR_CHANNEL_STATE,        /* u32; pci_channel_state: 1 normal, 2 frozen, 3 failure */
  VFIO_ATTR_ERROR_HANDLING_REPLY, /* u32; pci_ers_result: 1 none ... 5 recovered */
  VFIO_ATTR_PM_SUSPEND_REPLY,     /* u32; 0: nothing against it */
  __VFIO_NL_ATTR_MAX
};
#define VFIO_NL_ATTR_MAX (__VFIO_NL_ATTR_MAX - 1)

#endif
