/*
 * Four levels of tables turn an address into a frame: 9 bits choose the entry in each, 12 bits the byte in the page
 * (SDM vol. 3, 4.5). The kernel's first gigabyte was mapped by entry.asm with large pages; the user program gets
 * pages of 4 KB behind it.
 */
#include "kernel.h"

#define PRESENT (1ull << 0)
#define WRITABLE (1ull << 1)
#define USER (1ull << 2)
#define NO_EXECUTE (1ull << 63)
#define FRAME 0x000FFFFFFFFFF000ull

extern char user_program_frame[]; /* where the boot loader put the user program: tour.ld */
extern char kernel_end[];

static uint64_t next_frame;

uint64_t page_table_root(void) {
  uint64_t root;
  __asm__ volatile("mov %%cr3, %0" : "=r"(root));
  return root & FRAME;
}

static uint64_t take_frame(void) {
  if (next_frame == 0) next_frame = ((uint64_t)kernel_end + PAGE_SIZE - 1) & FRAME;
  uint64_t frame = next_frame;
  next_frame += PAGE_SIZE;
  for (int i = 0; i < 512; i++) ((uint64_t *)frame)[i] = 0;
  return frame;
}

/* Frames of tables can be used as they are: this kernel sees all physical memory at its own address. */
static void map_page(uint64_t address, uint64_t frame, uint64_t rights) {
  uint64_t *table = (uint64_t *)page_table_root();
  for (int shift = 39; shift > 12; shift -= 9) {
    uint64_t *entry = &table[address >> shift & 511];
    if (!(*entry & PRESENT)) *entry = take_frame();
    /* Rights are what all levels agree on, so the upper ones allow everything and the last decides. */
    *entry |= PRESENT | WRITABLE | USER; // #upper-levels
    table = (uint64_t *)(*entry & FRAME);
  }
  table[address >> 12 & 511] = frame | rights | PRESENT; /* from here on the address leads somewhere */
  __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); /* and nobody remembers that it did not */
}

void map_user_program(void) {
  map_page(USER_CODE, (uint64_t)user_program_frame, USER);
  map_page(USER_STACK_TOP - PAGE_SIZE, take_frame(), USER | WRITABLE | NO_EXECUTE);
}

/* Memory on demand: maps a fresh page when `address` lies in the heap. */
int give_page(uint64_t address) {
  if (address < USER_HEAP || address >= USER_HEAP_END) return 0;
  uint64_t frame = take_frame();
  map_page(address & FRAME, frame, USER | WRITABLE | NO_EXECUTE);
  print("tour: mapped it to frame ");
  print_hexadecimal(frame);
  print("\n");
  return 1;
}
