import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileCondition, compileLogMessage } from '../../../src/debugger/expression/condition.ts'
import { childCount, childrenOf, displayText, memoryReferenceOf } from '../../../src/debugger/expression/display.ts'
import { assign, evaluate, setValue, type Writer } from '../../../src/debugger/expression/evaluate.ts'
import { FrameScope } from '../../../src/debugger/frame-scope.ts'
import type { Stack } from '../../../src/debugger/stack/stack.ts'
import { buildGuest, GuestUnderTest } from '../support/c-guest.ts'

const SOURCE = `
typedef unsigned long u64;
typedef unsigned int u32;
enum color { RED, GREEN = 5, BLUE = -1 };
enum flags { READ = 1, WRITE = 2, EXEC = 4 };
struct inner { short x, y; };
struct everything {
  char name[8];
  u32 low : 3, middle : 7;
  int negative : 5;
  union { u64 word; unsigned char bytes[8]; };
  struct inner pair[2];
  struct everything *next;
  enum color color;
  enum flags flags;
  _Bool yes;
  float half;
  double third;
  void (*call)(void);
  const char *text;
  int matrix[2][3];
};
static void nothing(void) {}
struct everything thing = {
  "init", 5, 100, -3, { .word = 0x1122334455667788 }, { { 1, 2 }, { 3, -4 } }, &thing, GREEN, READ | EXEC, 1,
  0.5f, 1.0 / 3, nothing, "line\\n\\"q\\"", { { 1, 2, 3 }, { 4, 5, 6 } },
};
static int counter = 7;
volatile u64 sink;
__attribute__((noinline)) u64 work(struct everything *p, u64 count, char letter) {
  int counter = 3;
  u64 list[20];
  for (int i = 0; i < 20; i++) list[i] = i * count;
  sink = list[3] + counter; // #work
  return sink + p->low + letter;
}
void _start(void) {
  for (u64 round = 0; ; round++) { sink += work(&thing, round, 'A'); counter++; }
}
`

let guest: GuestUnderTest
let stack: Stack
let scope: FrameScope
const shown = (expression: string) =>
  displayText(evaluate(expression, scope, guest.subject), {
    subject: guest.subject,
    describe: address => guest.debugger.symbols.describe(address),
  })
const context = () => ({
  subject: guest.subject,
  describe: (address: bigint) => guest.debugger.symbols.describe(address),
})

beforeAll(async () => {
  guest = await GuestUnderTest.start(buildGuest(SOURCE, ['-O1']))
  await guest.runToMarker('work')
  await guest.stopAfter(() => guest.debugger.resume())
  stack = guest.stack
  scope = stack.scope(stack.frames(0, 1)[0])
})
afterAll(() => guest.debugger.dispose())

describe('an expression over a C program', () => {
  test.each([
    ['thing.name', '"init"'],
    ['p->name == "init"', '1'],
    ['*p->name', "105 'i'"],
    ['thing.low', '5'],
    ['p->middle', '100'],
    ['thing.negative', '-3'],
    ['thing.negative < 0', '1'],
    ['thing.word', '1234605616436508552'],
    ['thing.bytes[7]', "17 '\\x11'"],
    ['thing.pair', '[{x = 1, y = 2}, {x = 3, y = -4}]'],
    ['p->next->next->pair[1].y', '-4'],
    ['thing.color', 'GREEN'],
    ['thing.color == GREEN', '1'],
    ['(enum color)-1', 'BLUE'],
    ['(enum color)9', '(enum color) 9'],
    ['thing.flags', 'READ | EXEC'],
    ['thing.yes', 'true'],
    ['thing.half', '0.5'],
    ['thing.third * 3', '1'],
    ['thing.matrix[1][2]', '6'],
    ['thing.matrix', '[[1, 2, 3], [4, 5, 6]]'],
    ['thing.matrix[1]', '[4, 5, 6]'],
    ['count', '1'],
    ['letter', "65 'A'"],
    ['counter', '3'],
    ['list[3]', '3'],
    ['list[1]@3', '[1, 2, 3]'],
    ['*list@4', '[0, 1, 2, 3]'],
    ['sizeof(struct everything)', '104'],
    ['sizeof(thing.pair)', '8'],
    ['&thing == p', '1'],
    ['&p->pair[1] - &p->pair[0]', '1'],
    ['((struct inner *)&thing.pair)[1].x', '3'],
    ['(u32)thing.word == 0x55667788', '1'],
    ['*(u32 *)phys(&thing.word) == 0x55667788', '1'],
    ['GREEN + 1', '6'],
    ['thing.call == nothing', '1'],
  ])('%s is %s', (expression, expected) => {
    expect(shown(expression)).toBe(expected)
  })

  test('shows pointers with what they point to', () => {
    expect(shown('thing.call')).toMatch(/^0x[0-9a-f]+ <nothing>$/)
    expect(shown('thing.text')).toMatch(/^0x[0-9a-f]+ "line\\n\\"q\\""$/)
    expect(shown('&sink')).toMatch(/^0x[0-9a-f]+ <sink>$/)
  })

  test.each([
    ['thing.nmae', 'struct everything has no member "nmae"; it has name, low, middle'],
    ['&thing.low', 'a bit field has no address'],
    ['thing + 1', 'a value of type struct everything is no number'],
    ['count.x', 'u64 is no structure, so it has no member "x"'],
  ])('%s is refused', (expression, message) => {
    expect(() => shown(expression)).toThrow(message)
  })
})

describe('parts of a value', () => {
  test('have names that evaluate to them, anonymous unions opened', () => {
    const value = evaluate('p', scope, guest.subject)
    const children = childrenOf(value, context(), undefined, 'p')
    expect(children.map(({ name }) => name).slice(0, 7)).toEqual([
      'name',
      'low',
      'middle',
      'negative',
      'word',
      'bytes',
      'pair',
    ])
    for (const child of children) {
      expect(child.evaluateName).toBe(`p->${child.name}`)
      expect(shown(child.evaluateName ?? '')).toBe(displayText(child.value, context()))
    }
    expect(childCount(value, context())).toEqual({ named: children.length, indexed: 0 })
    expect(memoryReferenceOf(value, context())).toEqual({
      space: 'linear',
      address: guest.debugger.symbols.byName('thing')?.address,
    })
  })

  test('come in pages', () => {
    const value = evaluate('list', scope, guest.subject)
    expect(childCount(value, context())).toEqual({ named: 0, indexed: 20 })
    const page = childrenOf(value, context(), { start: 5, count: 3 }, 'list')
    expect(page.map(child => [child.name, displayText(child.value, context()), child.evaluateName])).toEqual([
      ['[5]', '5', 'list[5]'],
      ['[6]', '6', 'list[6]'],
      ['[7]', '7', 'list[7]'],
    ])
  })
})

describe('assignment', () => {
  const writer = (): Writer => ({
    writeRegister: (name, value) => guest.debugger.target.writeRegister(0, name, value),
    writeMemory: ({ address }, bytes) => guest.debugger.target.writePhysical(Number(address), bytes),
  })

  test.each([
    ['thing.pair[0].x = 77', 'thing.pair[0].x', '77'],
    ['thing.middle = 9', 'thing.middle', '9'],
    ['thing.low = 6', 'thing.low + thing.middle', '15'],
    ['thing.half = 1.25', 'thing.half', '1.25'],
    ['thing.color = RED', 'thing.color', 'RED'],
    ['thing.pair[0] = thing.pair[1]', 'thing.pair[0]', '{x = 3, y = -4}'],
    ['thing.third += 1', 'thing.third > 1.3', '1'],
    ['$r11 = 0x1234', '$r11', '4660'],
    ['$r11b = 0xff', '$r11', '4863'],
    ['*(u32 *)&thing.word = 1', 'thing.word == 0x1122334400000001', '1'],
  ])('%s', (text, expression, expected) => {
    assign(text, scope, guest.subject, writer())
    expect(shown(expression)).toBe(expected)
  })

  test('of a value that was shown', () => {
    setValue(evaluate('thing.matrix[0][1]', scope, guest.subject), '40 + 2', scope, guest.subject, writer())
    expect(shown('thing.matrix[0]')).toBe('[1, 42, 3]')
  })

  test('is refused where nothing can be stored', () => {
    expect(() => assign('1 = 2', scope, guest.subject, writer())).toThrow('no place that can be assigned')
    expect(() => assign('$cpl = 3', scope, guest.subject, writer())).toThrow('computed')
    expect(() => assign('thing = 3', scope, guest.subject, writer())).toThrow('cast to struct everything')
  })
})

describe('a condition', () => {
  const often = () => {
    const frame = stack.frames(0, 1)[0]
    if (frame.described === undefined) throw new Error('no debugging information')
    return new FrameScope(guest.debugger.symbols, { ...frame.described, pc: frame.pc, often: true })
  }

  test('holds or not', () => {
    const vcpu = guest.machine.vcpus[0]
    const holds = (text: string) => compileCondition(text, often()).test(vcpu, guest.machine)
    expect(holds('count == 1 && p->next == p')).toBe(true)
    expect(holds('count == 4096')).toBe(false)
    expect(holds('p->name == "init"')).toBe(true)
    expect(holds('list[4] == 4 && $cpl == 0')).toBe(true)
  })

  test('that can not be evaluated says why and stops', () => {
    const condition = compileCondition('*(u32 *)0xffffffffff == 3', often())
    expect(condition.test(guest.machine.vcpus[0], guest.machine)).toBe(true)
    expect(condition.failure).toContain('no memory can be read')
  })

  test('has log messages beside it', () => {
    const message = compileLogMessage('count={count} \\{x} {thing.pair[1].y} {nowhere}', often(), () => undefined)
    expect(message(guest.machine.vcpus[0], guest.machine)).toBe('count=1 {x} -4 <no symbol "nowhere" is known>')
  })
})
