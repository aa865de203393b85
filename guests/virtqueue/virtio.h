/* What driver and device have agreed on: numbers and layouts of the Virtio specification 1.2. */
#pragma once
#include <stdint.h>

/* 4.1.2: a modern device's id is 0x1040 and its type. */
#define VIRTIO_VENDOR 0x1AF4u
#define VIRTIO_BLOCK 0x1042u

#define CAPABILITY_VENDOR 0x09
#define CAPABILITY_MSIX 0x11
#define STRUCTURE_COMMON 1
#define STRUCTURE_NOTIFICATION 2

/* 2.1: device status. */
#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8

#define VERSION_1 32

/* 4.1.4.3 */
struct common_configuration {
  uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
  uint16_t configuration_vector, queues;
  uint8_t status, generation;
  uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_offset;
  uint64_t queue_descriptors, queue_driver, queue_device;
};

#define QUEUE_SIZE 8

/* 2.7.5: a buffer; with NEXT the chain goes on at `next`. */
#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2
struct descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next;
};

/* 2.7.6: the driver's: heads of chains that the device may take. */
struct available {
  uint16_t flags, index, ring[QUEUE_SIZE], used_event;
};

/* 2.7.8: the device's: chains that it returns. */
struct used {
  uint16_t flags, index;
  struct {
    uint32_t id, length;
  } ring[QUEUE_SIZE];
  uint16_t available_event;
};

/* 5.2.6 */
#define REQUEST_READ 0
struct request_header {
  uint32_t type, reserved;
  uint64_t sector;
};
