/*
 * A packet through a virtqueue: a kernel with the smallest driver for a virtio disk (Virtio 1.2 by the OASIS), which
 * reads one sector and powers off. Stop at the marks, and look with `virtqueues`, `chain virtio-blk0 0 0` and `pci`.
 *
 * Read from kernel_main() at the end upwards: find the device on the PCI bus, find its registers, agree on features,
 * give it a queue, post a chain of three descriptors, notify it, wait for its interrupt, take what it has used.
 */
#include "../entry/ports.h"
#include "virtio.h"

extern uint64_t boot_pdpt[512];
void disk_interrupt_entry(void);

#define LOCAL_APIC ((volatile uint32_t *)0xFEE00000)
#define APIC_END_OF_INTERRUPT (0xB0 / 4)
#define APIC_SPURIOUS (0xF0 / 4)
#define APIC_ENABLE (1 << 8)
#define MESSAGE_ADDRESS 0xFEE00000u
#define DISK_VECTOR 0x50
#define SECTOR 2

/* ACPI 6.5, 4.8.3.2.1: the sleep type of S5 with SLP_EN in PM1a control. QEMU's S5 has type 0, Ringside's 5. */
#define PM1A_CONTROL 0x604
#define SLP_EN (1 << 13)

static void print(const char *text) {
  while (*text) serial_character(*text++);
}

static void power_off(void) {
  outw(PM1A_CONTROL, SLP_EN | 0 << 10);
  outw(PM1A_CONTROL, SLP_EN | 5 << 10);
  for (;;) __asm__ volatile("cli; hlt");
}

static void give_up(const char *why) {
  print("virtqueue: ");
  print(why);
  print("\n");
  power_off();
}

/* ---- The PCI bus: configuration space by two ports (PCI 3.0, 3.2.2.3.2) ---- */

static uint32_t pci_read(int slot, int offset) {
  outl(0xCF8, 0x80000000u | (uint32_t)slot << 11 | ((uint32_t)offset & 0xFC));
  return inl(0xCFC) >> (8 * (offset & 3));
}

static void pci_write(int slot, int offset, uint32_t value) {
  outl(0xCF8, 0x80000000u | (uint32_t)slot << 11 | ((uint32_t)offset & 0xFC));
  outl(0xCFC, value);
}

static int find_disk(void) {
  for (int slot = 0; slot < 32; slot++)
    if (pci_read(slot, 0) == (VIRTIO_BLOCK << 16 | VIRTIO_VENDOR)) return slot;
  give_up("there is no virtio disk");
  return 0;
}

/* Memory behind a base address register. Its lower four bits say what kind it is; a 64-bit one goes on in the next. */
static volatile uint8_t *window(int slot, int bar) {
  uint64_t low = pci_read(slot, 0x10 + 4 * bar);
  uint64_t high = (low & 6) == 4 ? pci_read(slot, 0x14 + 4 * bar) : 0;
  return (volatile uint8_t *)(high << 32 | (low & ~15ull));
}

/* ---- The device: capabilities say where its structures are (Virtio 1.2, 4.1.4) ---- */

static volatile struct common_configuration *common;
static volatile uint8_t *notifications;
static uint32_t notification_multiplier;

static void find_structures(int slot) {
  for (int at = pci_read(slot, 0x34) & 0xFC; at; at = pci_read(slot, at + 1) & 0xFC) {
    uint8_t id = pci_read(slot, at), type = pci_read(slot, at + 3), bar = pci_read(slot, at + 4);
    if (id == CAPABILITY_MSIX) {
      // #msix
      volatile uint32_t *entry = (volatile uint32_t *)(window(slot, pci_read(slot, at + 4) & 7));
      entry[0] = MESSAGE_ADDRESS; /* where to write: the local APIC */
      entry[1] = 0;
      entry[2] = DISK_VECTOR; /* what to write: the vector */
      entry[3] = 0; /* not masked */
      pci_write(slot, at, 1u << 31 | (pci_read(slot, at) & 0x3FFFFFFF));
    }
    if (id != CAPABILITY_VENDOR) continue;
    volatile uint8_t *structure = window(slot, bar) + pci_read(slot, at + 8);
    if (type == STRUCTURE_COMMON) common = (volatile struct common_configuration *)structure;
    if (type == STRUCTURE_NOTIFICATION) {
      notifications = structure;
      notification_multiplier = pci_read(slot, at + 16);
    }
  }
  if (!common || !notifications) give_up("the disk has no modern interface");
}

/* 3.1.1: the driver says how far it is; features are agreed on before anything else. */
static void negotiate(void) {
  common->status = 0;
  common->status = ACKNOWLEDGE;
  common->status |= DRIVER;
  common->driver_feature_select = 1;
  common->driver_feature = 1u << (VERSION_1 - 32);
  common->driver_feature_select = 0;
  common->driver_feature = 0;
  common->status |= FEATURES_OK;
  if (!(common->status & FEATURES_OK)) give_up("the disk refuses our features");
}

/* ---- The queue: three areas that driver and device share (Virtio 1.2, 2.7) ---- */

static struct descriptor descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile struct available available __attribute__((aligned(2)));
static volatile struct used used __attribute__((aligned(4)));
static uint16_t notify_offset;

static void set_up_queue(void) {
  common->queue_select = 0;
  common->queue_size = QUEUE_SIZE;
  common->queue_descriptors = (uint64_t)descriptors;
  common->queue_driver = (uint64_t)&available;
  common->queue_device = (uint64_t)&used;
  common->queue_vector = 0; /* entry of the MSI-X table */
  notify_offset = common->queue_notify_offset;
  common->queue_enable = 1;
  common->status |= DRIVER_OK; /* the device is live */
}

/* ---- A request: a header and a status with the data between them (Virtio 1.2, 5.2.6) ---- */

static struct request_header header;
static uint8_t data[512];
static volatile uint8_t status = 0xFF;

static void post_request(void) {
  header.type = REQUEST_READ;
  header.sector = SECTOR;
  descriptors[0] = (struct descriptor){(uint64_t)&header, sizeof header, DESCRIPTOR_NEXT, 1};
  descriptors[1] = (struct descriptor){(uint64_t)data, sizeof data, DESCRIPTOR_NEXT | DESCRIPTOR_WRITE, 2};
  descriptors[2] = (struct descriptor){(uint64_t)&status, 1, DESCRIPTOR_WRITE, 0};
  available.ring[available.index % QUEUE_SIZE] = 0; /* the chain's first descriptor */
  __asm__ volatile("" ::: "memory"); /* the device must find all of it when it sees the index */
  available.index++; // #posted: from here on the device may take the chain
}

static void notify(void) {
  *(volatile uint16_t *)(notifications + notify_offset * notification_multiplier) = 0; // #kick
}

/* ---- The interrupt ---- */

static volatile int interrupts;

void disk_interrupt(void) {
  interrupts++; // #interrupt
  LOCAL_APIC[APIC_END_OF_INTERRUPT] = 0;
}

static void wait(void) {
  /* STI takes effect behind HLT: no interrupt can come between the look and the sleep. */
  while (!interrupts) __asm__ volatile("sti; hlt; cli" ::: "memory");
}

static struct __attribute__((packed)) gate {
  uint16_t offset_low, selector;
  uint8_t stack, type;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
} gates[DISK_VECTOR + 1];

static void prepare_interrupt(void) {
  uint64_t entry = (uint64_t)disk_interrupt_entry;
  gates[DISK_VECTOR] = (struct gate){(uint16_t)entry, 0x08, 0, 0x8E, (uint16_t)(entry >> 16), entry >> 32, 0};
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } pointer = {sizeof gates - 1, (uint64_t)gates};
  __asm__ volatile("lidt %0" : : "m"(pointer));
  LOCAL_APIC[APIC_SPURIOUS] = APIC_ENABLE | 0xFF;
  /* Nobody shall answer with the vectors of exceptions: the old controllers are masked. */
  outb(0x21, 0xFF);
  outb(0xA1, 0xFF);
}

/* The boot code maps the first gigabyte. Devices lie in the fourth: large pages, not to be cached. */
static uint64_t device_pages[512] __attribute__((aligned(4096)));

static void map_devices(void) {
  for (uint64_t i = 0; i < 512; i++) device_pages[i] = (3ull << 30) + (i << 21) + 0x9B;
  boot_pdpt[3] = (uint64_t)device_pages + 3; /* present, writable; 0x98 above: large, uncached, write-through */
}

void kernel_main(void) {
  map_devices();
  prepare_interrupt();
  int slot = find_disk();
  find_structures(slot);
  negotiate();
  set_up_queue(); // #queue-set-up
  post_request();
  notify();
  wait();
  // #used: the chain is in the used ring, with how many bytes the device wrote
  if (used.index != 1 || used.ring[0].length != sizeof data + 1 || status != 0) give_up("the disk did not read");
  print("virtqueue: sector 2 begins with ");
  for (int i = 0; i < 8 && data[i] >= ' ' && data[i] < 127; i++) serial_character((char)data[i]);
  print("\n");
  power_off();
}
