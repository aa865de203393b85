/* Compiled by the tests in several ways; runs without a C library, on Linux. Markers are found by name, not number. */

typedef unsigned long size_type;

enum color { RED, GREEN = 5, BLUE = -1 };

struct point {
  int x;
  int y;
};

struct node {
  struct node *next;
  struct point where;
  unsigned flags : 3;
  unsigned kind : 7;
  signed delta : 5;
  unsigned long long wide : 40;
  union {
    long number;
    char text[12];
  };
  const char *(*describe)(struct node *self, enum color);
  short grid[2][3];
  enum color color;
};

struct opaque;
struct holder {
  struct opaque *hidden;
};

static struct node nodes[3];
int counter = 7;
extern int counter;
const char *const names[] = {"red", "green"};
struct holder holder;

void leave(int status);

static inline __attribute__((always_inline)) int squared(int value)
{
  int square = value * value; /* #square */
  counter += square;
  return square;
}

__attribute__((noinline)) int leaf(struct node *node, int depth)
{
  static int calls;
  volatile int local = depth + 100;
  calls++;
  node->flags = 5;
  return local + squared(depth) + node->where.x; /* #leaf-return */
}

__attribute__((noinline)) int middle(struct node *node, size_type length)
{
  int sum = 0;
  for (size_type index = 0; index < length; index++) {
    int each = leaf(&node[index], (int)index); /* #call-leaf */
    sum += each;
  }
  return sum; /* #middle-return */
}

static const char *describe(struct node *self, enum color color)
{
  return names[self->color == color];
}

void begin(void)
{
  nodes[0].where.x = 42;
  nodes[0].color = GREEN;
  nodes[0].describe = describe;
  int result = middle(nodes, 3); /* #call-middle */
  leave(result & 1);
}

#ifdef __i386__
__asm__(".globl _start, leave\n_start: call begin\nleave: movl $1,%eax\n movl 4(%esp),%ebx\n int $0x80\n");
#else
__asm__(".globl _start, leave\n_start: call begin\nleave: movl $60,%eax\n syscall\n");
#endif
