/* A program without a library: reads a page of a file, then touches fresh pages. Its frames lie below the kernel's. */

#define SYS_READ 0
#define SYS_OPEN 2
#define SYS_EXIT 60
#define PAGE 4096
#define FRESH 5

static char page[PAGE];
static volatile char fresh[FRESH * PAGE] __attribute__((aligned(PAGE)));

static __attribute__((noinline)) long system_call(long number, long first, long second, long third) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third)
                   : "rcx", "r11", "memory");
  return result; // #back-in-user-space
}

static __attribute__((noinline)) long read_page(const char *path) {
  long file = system_call(SYS_OPEN, (long)path, 0, 0);
  long length = system_call(SYS_READ, file, (long)page, PAGE);
  return length; // #read
}

static __attribute__((noinline)) void touch(void) {
  for (int index = 0; index < FRESH; index++)
    fresh[index * PAGE] = 1; // #touch
}

void _start(void) {
  long length = read_page("/init");
  touch(); // #before-touch
  system_call(SYS_EXIT, length < 0, 0, 0); // #after-touch
}
