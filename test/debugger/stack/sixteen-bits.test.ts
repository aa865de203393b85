/** Stacks of 16-bit code: real mode, 16-bit segments of protected mode, and virtual-8086 mode. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { evaluate, numberOf } from '../../../src/debugger/expression/evaluate.ts'
import type { StackFrame } from '../../../src/debugger/stack/frame.ts'
import { SourceStep } from '../../../src/debugger/stepping.ts'
import { findMarker, GUESTS } from '../../support/markers.ts'
import { assembleFlat, assembleMultiboot, bootSectorSymbols } from '../../support/test-guest.ts'
import {
  type BuiltGuest,
  buildGuest,
  FRAME_POINTERS_ALONE,
  GuestUnderTest,
  withoutFrameTables,
} from '../support/c-guest.ts'

let guest: GuestUnderTest
afterEach(() => guest.debugger.dispose())

const start = async (name: string, program: string, symbols: string): Promise<void> => {
  const file = `tests/${name}.asm`
  const marker = (mark: string) => findMarker(file, mark)
  guest = await GuestUnderTest.start({ program, symbols, source: `${GUESTS}${file}`, marker })
}

const realMode = () => start('stack-real', assembleFlat('stack-real'), bootSectorSymbols('stack-real'))

async function protectedMode(): Promise<void> {
  const program = assembleMultiboot('stack-16')
  await start('stack-16', program, program)
}

async function runTo(symbol: string): Promise<void> {
  const address = guest.debugger.symbols.byName(symbol)?.address
  if (address === undefined) throw new Error(`no symbol ${symbol}`)
  await guest.runTo([address])
  expect(guest.stack.frames(0, 1)[0].pc).toBe(address)
}

/** Functions without labels and offsets, and how each frame was found. */
const found = (frames = guest.stack.frames(0, 50)) =>
  frames.map(
    ({ name, by, kind }) => `${name.replace(/(?<=.)[.+].*/, '')} ${by}${kind === 'heuristic' ? ' [a guess]' : ''}`,
  )

const CALLED_AS_32_BITS = `
__attribute__((noinline)) int leaf(int a) {
  __asm__ volatile("nop" : "+r"(a)); // #leaf
  return a + 1;
}
__attribute__((noinline)) int middle(int a) {
  return leaf(a * 2) + 1;
}
void kernel(void) {
  middle(20);
  for (;;) ;
}
__asm__(".section .start, \\"ax\\"; .globl _start; _start: cli; xor %ax, %ax; mov %ax, %ds; mov %ax, %ss;"
        "mov $0x7000, %esp; xor %ebp, %ebp; calll kernel; hlt; .text");
`

/** A boot sector by GCC, whose 16-bit code calls with doublewords, as the setup code of Linux does. */
function buildBootSector(source: string, flags: readonly string[]): BuiltGuest {
  const placed = ['-Wl,-Ttext=0x7c20,--section-start=.start=0x7c00', '-Wl,-e,_start']
  const guest = buildGuest(source, ['-m16', '-O1', ...placed, ...flags])
  const built = flags === FRAME_POINTERS_ALONE ? withoutFrameTables(guest) : guest
  const sector = Buffer.alloc(512)
  const image = `${built.program}.bin`
  execFileSync('objcopy', ['-O', 'binary', '-j', '.start', '-j', '.text', built.program, image])
  readFileSync(image).copy(sector, 0, 0, 510)
  sector.writeUInt16LE(0xaa55, 510)
  writeFileSync(image, sector)
  return { ...built, program: image, symbols: built.program }
}

const value = (expression: string, frame: StackFrame) => {
  const subject = guest.stack.subject(frame)
  return numberOf(evaluate(expression, guest.stack.scope(frame), subject), subject)
}

async function step(kind: 'into' | 'over' | 'out'): Promise<void> {
  const { symbols, target } = guest.debugger
  guest.debugger.setAddressBreakpoints([])
  const source = new SourceStep(symbols, guest.machine, { vcpu: 0, kind, granularity: 'instruction' })
  const stop = await guest.stopAfter(() => target.step(source.begin()))
  expect(stop.reason).toBe('step')
}

const place = () => guest.debugger.symbols.describe(guest.stack.frames(0, 1)[0].pc)

describe('a stack of real mode', () => {
  test('goes through near and far calls by frame pointers, on a stack whose segment has a base', async () => {
    await realMode()
    await runTo('far_leaf.stop')
    const frames = guest.stack.frames(0, 50)
    expect(found(frames)).toEqual([
      'far_leaf start',
      'far_function frame-pointer',
      'near_inner frame-pointer',
      'near_outer frame-pointer',
      'start frame-pointer',
    ])
    // Registers are what the processor will have: offsets, and the selectors that go with them.
    const [, far, near, , start] = frames
    expect(value('$cs', far)).toBe(0x7c0n)
    expect(value('$cs.base', far)).toBe(0x7c00n)
    expect(value('$rip', far)).toBe(far.pc - 0x7c00n)
    expect(value('$cs', near)).toBe(0n)
    expect(value('$rip', near)).toBe(near.pc)
    expect(value('$ss', near)).toBe(0x2000n)
    expect(value('$sp', start)).toBe(0n)
    expect(start.activation.sp).toBe(0x30000n)
    expect(value('$rbp', start)).toBe(0n)
  })

  test('is known before a frame has begun and after it has ended', async () => {
    await realMode()
    const callers = ['far_function', 'near_inner', 'near_outer', 'start']
    for (const symbol of ['far_leaf', 'far_leaf.last']) {
      await runTo(symbol)
      expect(found().slice(0, 2)).toEqual(['far_leaf start', 'far_function entry'])
      expect(
        found()
          .slice(1)
          .map(name => name.split(' ')[0]),
      ).toEqual(callers)
    }
    await runTo('near_inner.last')
    expect(found()).toEqual(['near_inner start', 'near_outer entry', 'start frame-pointer'])
  })

  test('goes on without frame pointers by what looks like a return address, and says so', async () => {
    await realMode()
    await runTo('bare_leaf.stop')
    expect(found()).toEqual([
      'bare_leaf start',
      'bare_middle scan [a guess]',
      'bare_outer scan [a guess]',
      'start frame-pointer',
    ])
  })

  test('goes through INT n into what asked for it', async () => {
    await realMode()
    await runTo('service.stop')
    const frames = guest.stack.frames(0, 50)
    expect(found(frames)).toEqual([
      'service start',
      'service_interrupt frame-pointer',
      'asking interrupt-frame',
      'start frame-pointer',
    ])
    expect(frames.map(({ kind }) => kind)).toEqual(['normal', 'normal', 'interrupt', 'normal'])
    await runTo('service_interrupt.last')
    expect(found()).toEqual(['service_interrupt start', 'asking interrupt-frame', 'start frame-pointer'])
  })

  test('goes through an interrupt of a device into what it interrupted', async () => {
    await realMode()
    await runTo('timer_interrupt.stop')
    expect(found()).toEqual(['timer_interrupt start', 'waiting interrupt-frame', 'start frame-pointer'])
  })

  test('has its first frame by the processor too, on the first instruction of a handler', async () => {
    await realMode()
    await runTo('timer_interrupt')
    expect(found()).toEqual(['timer_interrupt start', 'waiting interrupt-frame', 'start frame-pointer'])
  })

  test('ends soon where BP means nothing, and what is found then is marked', async () => {
    await realMode()
    await runTo('broken_leaf.stop')
    const { stack } = guest
    const frames = stack.frames(0, 5000)
    expect(found(frames)).toEqual(['broken_leaf start', 'broken scan [a guess]', 'start scan [a guess]'])
    expect(stack.total).toBe(3)
  })

  test('has nothing on it while SP is 0', async () => {
    await realMode()
    await runTo('bare_leaf.stop')
    const { target } = guest.debugger
    const [{ activation }] = guest.stack.frames(1, 1)
    // What lies above is the bottom of the segment.
    target.writePhysical(0x20000, new Uint8Array(Uint16Array.of(Number(activation.pc)).buffer))
    target.writeRegister(0, 'rsp', 0n)
    expect(found()).toEqual(['bare_leaf start'])
  })

  test('ends with any words on it, and with any BP and SP', async () => {
    await realMode()
    await runTo('far_leaf.stop')
    const { target } = guest.debugger
    let seed = 7
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >> 8
    for (let round = 0; round < 60; round++) {
      // Words that are likely to be return addresses, selectors and frame pointers.
      const words = Uint16Array.from(
        { length: 512 },
        () => [random(), 0x7c00 + (random() & 511), 0x7c0, 0xff00][round & 3],
      )
      target.writePhysical(0x2fc00, new Uint8Array(words.buffer))
      target.writeRegister(0, 'rbp', BigInt(random() & 0xffff))
      target.writeRegister(0, 'rsp', BigInt([0xfc00, 0xfffe, 0xffff, random() & 0xffff][round & 3]))
      const frames = guest.stack.frames(0, 5000)
      expect(frames.length).toBeLessThan(1000)
      for (const frame of frames) expect(frame.by === 'scan').toBe(frame.kind === 'heuristic')
    }
  })

  test('is what a step out goes by, and a step over', async () => {
    await realMode()
    await runTo('far_leaf.stop')
    await step('out')
    expect(place()).toMatch(/^far_function\+/)
    await step('out')
    expect(place()).toBe('near_inner.back')
    await step('out')
    expect(place()).toMatch(/^near_outer\+/)
    await step('out')
    // Behind the first call of all, where SP is 0 again.
    expect(place()).toMatch(/^start\.here\+/)
    expect(guest.machine.vcpus[0].register('rsp')).toBe(0n)
    const before = guest.stack.frames(0, 1)[0].pc
    await step('over')
    expect(guest.stack.frames(0, 1)[0].pc).toBe(before + 3n)
    expect(guest.machine.vcpus[0].register('rsp')).toBe(0n)
  })

  test('lets steps over a far call and over INT n end behind them', async () => {
    await realMode()
    for (const [from, to] of [
      ['near_inner.far', 'near_inner.back'],
      ['asking.int', 'asking.back'],
    ]) {
      await runTo(from)
      const sp = guest.machine.vcpus[0].register('rsp')
      await step('over')
      expect(place()).toBe(to)
      expect(guest.machine.vcpus[0].register('rsp')).toBe(sp)
    }
  })

  test('tells activations of a recursion apart, for a step over a call', async () => {
    await realMode()
    await runTo('recursive.call')
    const depth = () => guest.stack.canonicalAddress(guest.stack.frames(0, 1)[0])
    const outer = depth()
    await step('over')
    expect(place()).toBe('recursive.back')
    expect(depth()).toBe(outer)
    expect(guest.stack.frames(0, 50)).toHaveLength(2)
  })
})

describe.each([
  ['with frame pointers alone', FRAME_POINTERS_ALONE, 'frame-pointer'],
  ['with unwind tables', ['-fomit-frame-pointer'], 'eh_frame'],
])('a stack of 16-bit code by GCC, %s', (_name, flags, by) => {
  test('has return addresses of 32 bits, with source lines and locals', async () => {
    guest = await GuestUnderTest.start(buildBootSector(CALLED_AS_32_BITS, flags))
    await guest.runToMarker('leaf')
    const frames = guest.stack.frames(0, 50)
    expect(found(frames)).toEqual(['leaf start', `middle ${by}`, `kernel ${by}`, `_start ${by}`])
    expect(frames.map(({ activation }) => activation.bits)).toEqual([16, 16, 16, 16])
    expect(frames[0].source?.line).toBe(guest.built.marker('leaf'))
    // Where arguments are, tables tell.
    if (by === 'eh_frame') expect(value('a', frames[0])).toBe(40n)
    expect(value('$cs', frames[2])).toBe(0n)
    await step('out')
    expect(place()).toMatch(/^middle\+/)
  })
})

describe('a stack of 16-bit code in protected mode', () => {
  test('has the bases of its descriptors, and leads back to 32-bit code', async () => {
    await protectedMode()
    await runTo('far_leaf.stop')
    const frames = guest.stack.frames(0, 50)
    expect(found(frames)).toEqual([
      'far_leaf start',
      'near_inner frame-pointer',
      'near_outer frame-pointer',
      'protected_16 frame-pointer',
      'start frame-pointer',
    ])
    const [leaf, inner, outer, caller] = frames
    expect(leaf.activation.bits).toBe(16)
    expect(value('$cs', inner)).toBe(0x18n)
    expect(value('$rip', inner)).toBe(inner.pc - 0x100000n)
    expect(outer.activation.sp).toBe(0x80000n + 0x2000n - 8n - 2n)
    expect(caller.activation.bits).toBe(32)
    expect(value('$rip', caller)).toBe(caller.pc)
  })

  test('goes through interrupts by 16-bit and 32-bit gates', async () => {
    await protectedMode()
    await runTo('doubleword_interrupt.stop')
    expect(found().slice(0, 5)).toEqual([
      'doubleword_interrupt start',
      'word_interrupt interrupt-frame',
      'near_inner interrupt-frame',
      'near_outer frame-pointer',
      'protected_16 frame-pointer',
    ])
  })

  test('is what a step out goes by, to any segment', async () => {
    await protectedMode()
    await runTo('far_leaf.stop')
    await step('out')
    expect(place()).toMatch(/^near_inner\+/)
    await step('out')
    expect(place()).toMatch(/^near_outer\+/)
    await step('out')
    expect(place()).toBe('protected_16.back')
  })
})

describe('a stack of virtual-8086 mode', () => {
  test('goes through near and far calls', async () => {
    await protectedMode()
    await runTo('v86_far_leaf.stop')
    expect(found()).toEqual(['v86_far_leaf start', 'v86_inner frame-pointer', 'v86_outer frame-pointer'])
    await step('out')
    expect(place()).toMatch(/^v86_inner\+/)
  })

  test('goes on below its 32-bit monitor', async () => {
    await protectedMode()
    await runTo('monitor.stop')
    const frames = guest.stack.frames(0, 50)
    expect(found(frames)).toEqual([
      'monitor start',
      'v86_far_leaf interrupt-frame',
      'v86_inner frame-pointer',
      'v86_outer frame-pointer',
    ])
    const [, leaf] = frames
    expect(leaf.kind).toBe('interrupt')
    expect(leaf.activation.bits).toBe(16)
    expect(value('$cs', leaf)).toBe(0xfffen)
    expect(value('$ss', leaf)).toBe(0x7000n)
  })
})
